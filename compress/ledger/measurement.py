"""One row of the ledger: an artifact's figures on one target and one data set, and everything that they stand on."""

import json
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compress.files import sha256_text

LOCAL = frozenset({"bundle"})
"""Fields that say where something lies on one machine: no part of what a row is."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1)]


def utc(text: str) -> str:
    """An ISO time with its zone, as UTC to the second: 2026-11-23T12:55:36+00:00; such texts sort as their times."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"must tell its time zone, got {text!r}")
    return when.astimezone(UTC).isoformat(timespec="seconds")


class Measurement(BaseModel):
    """A measurement. None: not measured, or it does not apply.

    ``target`` is None where nobody timed the artifact, ``dataset`` where nobody judged it. ``artifact_sha256`` is the
    entry file's, as in results.json; ``files_sha256`` that of all the artifact's files together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    created: Annotated[str, AfterValidator(utc)]
    run: Text
    command: Literal["apply", "bench"]
    recipe: Text
    task: Text
    artifact: Text
    format: Text
    precision: Text
    engine: str | None = None
    image_size: int | None = None
    k_steps: int | None = None
    target: str | None = None
    dataset: str | None = None
    evidence: Text
    protocol: str | None = None
    threads: int | None = None
    cpu: str | None = None

    artifact_sha256: Sha256
    files_sha256: Sha256
    weights_sha256: Sha256
    recipe_sha256: Sha256
    data_sha256: Sha256 | None = None
    calibration_sha256: Sha256 | None = None

    bytes: int
    size_ratio: float | None = None
    macs: int | None = None
    latency_p50_ms: float | None = None
    latency_p90_ms: float | None = None
    latency_mean_ms: float | None = None
    latency_n: int | None = None
    first_inference_ms: float | None = None
    load_ms: float | None = None
    peak_rss_mb: float | None = None
    throughput: float | None = None
    speedup_vs_fp32: float | None = None
    speedup_vs_best_float: float | None = None
    n: int | None = None
    psnr_db: float | None = None
    psnr_y_db: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    color_shift: float | None = None
    psnr_drop_db: float | None = None
    ssim_drop: float | None = None
    lpips_rise: float | None = None
    fidelity_db: float | None = None
    color_shift_vs_fp32: float | None = None

    bundle: str | None = None
    versions: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    pictures: list[dict[str, Any]] | None = None
    """Each picture's own scores, in the data set's order."""

    @cached_property
    def id(self) -> str:
        """Hex sha256 of the content: the same measurement is the same row in every ledger."""
        # Without what is None: a field that a later release adds leaves the ids of older rows as they are.
        content = {name: value for name, value in self.model_dump(exclude=set(LOCAL)).items() if value is not None}
        return sha256_text(json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False))

    def row(self) -> dict[str, Any]:
        """Every field, and ``id`` first."""
        return {"id": self.id, **self.model_dump()}


DETAILS = ("versions", "machine", "pictures")
"""Fields that no filter and no plot asks for, kept in a table of their own."""
