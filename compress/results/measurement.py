"""One row of the ledger: an artifact's figures on one target and one data set, and everything that they stand on."""

import json
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_serializer

from compress.files import sha256_text
from compress.results.machine import Machine
from compress.results.quality import PictureScores
from compress.results.section import Count, Figure, Sha256, Text

LOCAL = frozenset({"bundle"})
"""Fields that say where something lies on one machine: no part of what a row is."""
DETAILS = ("versions", "machine", "pictures")
"""Fields that no filter and no plot asks for, kept in a table of their own."""


def utc(text: str) -> str:
    """An ISO time with its zone, as UTC to the second: 2026-11-23T12:55:36+00:00; such texts sort as their times."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"must tell its time zone, got {text!r}")
    try:
        return when.astimezone(UTC).isoformat(timespec="seconds")
    except OverflowError:
        raise ValueError(f"is not a time in UTC: {text!r}") from None


def _finite(facts: dict[str, Any]) -> dict[str, Any]:
    json.dumps(facts, allow_nan=False)
    return facts


Words = Annotated[str, Field(min_length=1, max_length=4096)]
Time = Annotated[float, Field(ge=1e-6, le=1e12)]
"""What a run takes, in ms: never nothing, so that ratios of two exist."""
Size = Annotated[int, Field(ge=1, le=2**53)]
"""Bytes of an artifact: never none."""


class MeasurementFields(BaseModel):
    """What was measured. None: it was not, or it does not apply.

    ``image_size`` is the side in px of what a square artifact gives, ``image_shape`` the height and width of another,
    as 384x640: one of them is None. ``target`` is None where nobody timed the artifact, ``dataset`` where nobody judged
    it. ``artifact_sha256`` is the entry file's, as in results.json; ``files_sha256`` that of all the artifact's files
    together. Every number is finite and bounded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    created: Annotated[str, AfterValidator(utc)]
    run: Words
    command: Literal["apply", "bench"]
    recipe: Words
    task: Words
    artifact: Words
    format: Words
    precision: Words
    engine: Text | None = None
    image_size: Count | None = None
    image_shape: Annotated[str, Field(pattern=r"^\d{1,5}x\d{1,5}$")] | None = None
    k_steps: Count | None = None
    target: Text | None = None
    dataset: Text | None = None
    evidence: Words
    protocol: Text | None = None
    threads: Count | None = None
    cpu: Text | None = None

    artifact_sha256: Sha256
    files_sha256: Sha256
    weights_sha256: Sha256
    recipe_sha256: Sha256
    data_sha256: Sha256 | None = None
    calibration_sha256: Sha256 | None = None

    bytes: Size
    size_ratio: Figure | None = None
    macs: Count | None = None
    latency_p50_ms: Time | None = None
    latency_p90_ms: Time | None = None
    latency_mean_ms: Time | None = None
    latency_n: Count | None = None
    first_inference_ms: Figure | None = None
    load_ms: Figure | None = None
    peak_rss_mb: Figure | None = None
    throughput: Figure | None = None
    picture_megapixels: Figure | None = None
    picture_megapixels_per_s: Figure | None = None
    picture_peak_rss_mb: Figure | None = None
    picture_joules_per_megapixel: Figure | None = None
    clip_megapixels_per_s: Figure | None = None
    clip_peak_rss_mb: Figure | None = None
    clip_joules_per_megapixel: Figure | None = None
    speedup_vs_fp32: Figure | None = None
    speedup_vs_best_float: Figure | None = None
    n: Count | None = None
    psnr_db: Figure | None = None
    psnr_y_db: Figure | None = None
    ssim: Figure | None = None
    lpips: Figure | None = None
    color_shift: Figure | None = None
    psnr_drop_db: Figure | None = None
    ssim_drop: Figure | None = None
    lpips_rise: Figure | None = None
    fidelity_db: Figure | None = None
    color_shift_vs_fp32: Figure | None = None

    bundle: Text | None = None
    versions: dict[str, Text] = {}
    machine: Annotated[dict[str, Any], AfterValidator(_finite)] = {}
    pictures: list[PictureScores] | None = None
    """Each picture's own scores, in the data set's order."""

    @property
    def size_text(self) -> str:
        """Size of an artifact's picture: "256 px", "384x640 px", or "- px" if it is not known."""
        return f"{self.image_shape or self.image_size or '-'} px"

    @property
    def busy(self) -> str:
        """What other processes took before it was timed (``Machine.others``); "" for what was not timed here."""
        if self.evidence != "measured" or self.latency_p50_ms is None:
            return ""
        try:
            return Machine.model_validate(self.machine).others
        except ValidationError:  # facts of an older release
            return ""

    @field_serializer("pictures")
    def _as_written(self, pictures: list[PictureScores] | None) -> list[dict[str, Any]] | None:
        """Without the scores that a picture lacks: they would change the row's id."""
        return None if pictures is None else [picture.to_json() for picture in pictures]


class Row(MeasurementFields):
    """A measurement that the ledger holds, by its id; ``pictures`` only where they were asked for."""

    id: Sha256

    def to_json(self) -> dict[str, Any]:
        """Every field that was read, and ``id`` first."""
        left_out = set() if "pictures" in self.model_fields_set else {"pictures"}
        return {"id": self.id, **self.model_dump(exclude={"id", *left_out})}


class Measurement(MeasurementFields):
    """A measurement, whole."""

    @cached_property
    def id(self) -> str:
        """Hex sha256 of the content: the same measurement is the same row in every ledger."""
        # Without what is None: a field that a later release adds leaves the ids of older rows as they are.
        content = {name: value for name, value in self.model_dump(exclude=set(LOCAL)).items() if value is not None}
        return sha256_text(json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False))

    def row(self) -> Row:
        """The row as the ledger holds it."""
        return Row.model_construct(None, id=self.id, **{name: getattr(self, name) for name in type(self).model_fields})
