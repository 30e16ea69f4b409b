"""What is measured, and the ``performance`` entries of results.json that say what was found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from compress.artifacts.artifact import Artifact
from compress.errors import VerificationError
from compress.measure.latency import Latency, Mode, speedup
from compress.recipe.deploy_target import DeployTarget
from compress.results.performance import Evidence, Performance, Speedups
from compress.results.section import first_mistake

if TYPE_CHECKING:
    import numpy as np

    from compress.progress import Progress, Stage
    from compress.targets.answers import ArtifactRun, TimedRuns

Result = TypeVar("Result")
Pictures = Mapping[str, "np.ndarray"]
"""lq (N, H, W, 3) uint8, noise (N, 16, H/8, W/8) float32; image (N, h, w, 3) uint8 where the artifacts take pictures
of 8 bits, which they are given instead of lq; seed (N, 1) int64 where they are given that instead of noise; for
accuracy also clean, output-<artifact> of here, and of the first pictures simulated-<artifact>: what the torch model
with the artifact's scheme makes of them."""

GIVEN = ("lq", "noise", "image", "seed")
"""Fields of ``Pictures`` that artifacts take as inputs."""
BF16 = "fp32-in-bf16"
"""The run of the fp32 artifact in bfloat16, beside the artifacts' ids."""
NOT_TIMED = (
    "latency_ms",
    "bf16_latency_ms",
    "first_inference_ms",
    "load_ms",
    "peak_rss_mb",
    "throughput",
    "speedup_vs",
)


@dataclass(frozen=True)
class Bench:
    """``artifacts``, by their entry files, on ``target``, which runs each of them (``runs`` of bench.py)."""

    artifacts: Mapping[Artifact, Path]
    target: DeployTarget
    pictures: Pictures
    mode: Mode
    progress: "Progress"
    seed: int = 0

    def entry(self, artifact: Artifact, evidence: Evidence, **facts: Any) -> Performance:
        """What is known of an artifact where nothing was timed."""
        return untimed(self.target, artifact, evidence, **facts)

    def refused(self, artifact: Artifact, by: str, error: str, **facts: Any) -> Performance:
        """What is known of an artifact that a vendor's compiler or parser does not take; ``error`` is its own."""
        why = f"target {self.target.name}: {artifact.id}: the {by} refuses it: {error}"
        return self.entry(artifact, "unavailable", accepted=False, why=why, **facts)

    def each(self, verb: str, work: "Callable[[Artifact, Path, Stage], Result]") -> "dict[Artifact, Result]":
        """What ``work`` makes of every artifact and its file, one after the other; ``verb`` names the stage."""
        results = {}
        with self.progress.stage(f"{verb} {self.target.name}", len(self.artifacts), even=False) as stage:
            for artifact, path in self.artifacts.items():
                stage.note(artifact.id)
                results[artifact] = work(artifact, path, stage)
                stage.advance()
        return results

    def measured(
        self,
        timed: "Mapping[Artifact, TimedRuns]",
        rest: Mapping[Artifact, Performance],
        bf16: "TimedRuns | None" = None,
    ) -> list[Performance]:
        """Entries of what ran: ``rest`` of each (first inference, load, memory, and so on) with its timed runs.

        ``bf16``: timed runs of the fp32 artifact, computed in bfloat16.
        """
        latencies = {artifact: latency_of(item) for artifact, item in timed.items()}
        in_bf16 = latency_of(bf16) if bf16 else None
        return [
            rest[artifact].model_copy(
                update={
                    "latency_ms": latency.figures(),
                    "bf16_latency_ms": in_bf16.figures() if in_bf16 and artifact == self.fp32 else None,
                    "throughput": round(1000 / latency.mean, 4),
                    "speedup_vs": speedups(artifact, latencies, self.seed, bf16=in_bf16),
                }
            )
            for artifact, latency in latencies.items()
        ]

    def ran(self, runs: "Mapping[str, ArtifactRun]", **common: Any) -> list[Performance]:
        """Entries of what the runner ran, by artifacts' ids and ``BF16``; ``common``: what they have in common."""
        rest = {
            artifact: self.entry(
                artifact,
                "measured",
                first_inference_ms=run.first_inference_ms,
                load_ms=run.load_ms,
                peak_rss_mb=run.peak_rss_mb,
                runtime=run.facts,
                protocol=self.mode,
                **({"accuracy": run.accuracy} if run.accuracy else {}),
                **common,
            )
            for artifact in self.artifacts
            for run in [runs[artifact.id]]
        }
        return self.measured({artifact: runs[artifact.id] for artifact in self.artifacts}, rest, runs.get(BF16))

    @property
    def fp32(self) -> Artifact | None:
        """The fp32 artifact, if there is one."""
        return next((artifact for artifact in self.artifacts if artifact.precision == "fp32"), None)


def untimed(target: DeployTarget, artifact: Artifact, evidence: Evidence, **facts: Any) -> Performance:
    """An entry without a time. Raises VerificationError for facts that results.json cannot hold: runtimes and compilers
    take names and numbers out of the artifact, which may be a stranger's.
    """
    fields: dict[str, Any] = {**dict.fromkeys(NOT_TIMED), **facts}
    try:
        return Performance(artifact=artifact.id, target=target.name, evidence=evidence, **fields)
    except ValidationError as error:
        raise VerificationError(
            f"target {target.name}: {artifact.id}: what it gives is not to be recorded ({first_mistake(error)}): "
            "export it again"
        ) from None


def latency_of(timed: "TimedRuns") -> Latency:
    """What timed runs amount to."""
    return Latency(tuple(timed.samples), timed.warmup)


def speedups(
    artifact: Artifact, latencies: Mapping[Artifact, Latency], seed: int = 0, *, bf16: Latency | None = None
) -> Speedups:
    """Speedup of ``artifact`` against the fp32 artifact and, if it is quantized, the fastest float run: of a
    float artifact, or of the fp32 one computed in bfloat16 (``bf16``).

    Each is None where there is nothing to compare with.
    """
    floats = {other: latency for other, latency in latencies.items() if other.is_float}
    fp32 = next((other for other in floats if other.precision == "fp32"), None)
    own = latencies[artifact]
    against_fp32 = speedup(floats[fp32], own, seed) if fp32 and fp32 != artifact else None
    if not floats or artifact.is_float:
        return Speedups(fp32=against_fp32, best_float=None)
    best = min(floats, key=lambda other: floats[other].p50)
    fastest, facts = floats[best], {"artifact": best.id}
    if fp32 and bf16 and bf16.p50 < fastest.p50:
        fastest, facts = bf16, {"artifact": fp32.id, "computed_in": "bf16"}
    return Speedups(fp32=against_fp32, best_float=speedup(fastest, own, seed).model_copy(update=facts))
