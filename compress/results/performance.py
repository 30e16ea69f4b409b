"""Speed of an artifact on a target, and what the figures stand on. A figure without evidence is null."""

from typing import Literal

from pydantic import Field

from compress.results.machine import Machine, Readings
from compress.results.section import Count, Figure, Id, Section, Text

Evidence = Literal["measured", "emulated", "estimated", "compiled", "parsed", "unavailable"]


Fact = Text | bool | Count | Figure | list[Text] | None
"""A version, or a setting that was in force."""


class Latency(Section):
    """Timed runs, in ms. A percentile is null if there were too few runs for it."""

    p50: Figure | None = None
    p90: Figure | None = None
    p99: Figure | None = None
    mean: Figure | None = None
    n: Count | None = Field(None, description="Number of timed runs.")
    warmup: Count | None = Field(None, description="Number of runs before the timed ones.")


class Speedup(Section):
    """Ratio of median latencies with its 95 % bootstrap interval."""

    value: Figure | None = None
    low: Figure | None = None
    high: Figure | None = None
    artifact: Id | None = Field(None, description="Artifact that this one is compared with.")
    computed_in: Text | None = Field(
        None, description="Precision that the other artifact was computed in, if it is not its own: bf16."
    )


class Speedups(Section):
    """Speed-up against the fp32 artifact, and against the fastest float run of the same runtime, among all float
    artifacts and the fp32 artifact in bfloat16 where OpenVINO chooses that by default.
    """

    fp32: Speedup | None = None
    best_float: Speedup | None = None


class WholePicture(Section):
    """Pictures restored as `compress restore` does it: tiles, blending and noise, from bytes to bytes, without reading
    or writing files. What is measured is the whole of ``width``, ``height`` and ``frames``, never a part of it.
    """

    kind: Literal["picture", "clip"]
    width: Count = Field(description="Width of the restored picture or frame, in px.")
    height: Count = Field(description="Height of the restored picture or frame, in px.")
    frames: Count = Field(description="Number of pictures in a run, one after the other.")
    tiles: Count = Field(description="Number of tiles in a run.")
    n: Count = Field(description="Number of runs.")
    seconds: Figure = Field(description="Median time of a run.")
    megapixels_per_s: Figure = Field(description="Megapixels of the restored pictures per second.")
    peak_rss_mb: Figure | None = Field(None, description="Peak memory of a process that did nothing else.")
    joules_per_megapixel: Figure | None = Field(
        None, description="Energy of the whole machine or processor during a run, if its sensors report it."
    )


class Operator(Section):
    """Calls of one operator that ExecuTorch's backend does not run."""

    operator: Text
    count: Count
    macs: Count
    why: Text


class Delegation(Section):
    """The part of a program that ExecuTorch's backend runs."""

    share: Figure | None = Field(
        None, description="Share of the multiply-accumulates that the backend runs, from 0 to 1."
    )
    delegates: Count | None = None
    outside: list[Operator] = Field(default=[])
    min: Figure | None = Field(None, description="Smallest share that the target accepts.")
    met: bool | None = None


class Accuracy(Section):
    """Accuracy of a device's 8-bit pictures in dB, at most 100."""

    n: Count | None = Field(None, description="Number of pictures.")
    psnr_db: Figure | None = Field(None, description="PSNR against the clean pictures.")
    fidelity_db: Figure | None = Field(None, description="PSNR against the fp32 artifact's pictures.")
    parity_db: Figure | None = Field(
        None, description="PSNR against the same artifact's pictures, computed on this machine."
    )
    simulated_db: Figure | None = Field(
        None, description="PSNR against torch with the artifact's quantizers, if it has any."
    )
    parity_float_db: Figure | None = Field(
        None, description="Like parity_db, for outputs that are not rounded to 8 bits."
    )
    largest_difference: Figure | None = Field(
        None, description="Largest difference from the same artifact's output on this machine, in [0, 1]."
    )
    max_difference: Figure | None = Field(None, description="Like largest_difference, on an emulated core.")


class EstimatedLayer(Section):
    """Estimate for one layer by the vendor's cost model, with the times of each engine, in ms."""

    layer: Text
    type: Text
    ms: Figure
    dpu: Figure | None = None
    dma: Figure | None = None
    software: Figure | None = None


class Estimate(Section):
    """Estimate by a vendor's cost model; times in ms."""

    compiler: Text | None = None
    latency_ms: Figure
    frequency_mhz: Figure | None = None
    cycles: Count | None = Field(None, description="Cycles of one inference.")
    memory_kib: dict[Text, Figure] = Field(default={}, description="KiB that it takes in each memory.")
    traffic_bytes: dict[Text, Figure] = Field(default={}, description="Bytes read and written in each memory.")
    busy_ms: dict[Text, Figure] = Field(default={}, description="Time of each engine, in ms.")
    int8_share: Figure | None = Field(
        None, description="Share of the matrix engine's time in which it reads int8 tensors, from 0 to 1."
    )
    layer_types: dict[Text, Figure] = Field(default={}, description="Engine time by type of layer, the longest first.")
    layers: list[EstimatedLayer] = Field(default=[], description="The layers that take longest.")
    speedup_vs_fp16: Figure | None = None


class Parser(Section):
    """Result of a parser on the file."""

    tensorrt_rtx: Text | None = Field(None, description="Version of the parser.")
    layers: dict[Text, Count] = Field(default={}, description="Number of layers of each type.")


class Performance(Section):
    """One artifact on one target."""

    artifact: Id
    target: Id | None = None
    evidence: Evidence = "measured"
    latency_ms: Latency | None = None
    bf16_latency_ms: Latency | None = Field(
        None,
        description="Latency of the fp32 artifact computed in bfloat16, where OpenVINO chooses that by default (AMX, "
        "AVX512-BF16).",
    )
    first_inference_ms: Figure | None = None
    load_ms: Figure | None = None
    peak_rss_mb: Figure | None = None
    throughput: Figure | None = Field(None, description="Pictures per second.")
    speedup_vs: Speedups | None = None
    whole_pictures: list[WholePicture] | None = Field(
        None, description="A whole picture and a clip, if you asked for them (`compress bench --throughput`)."
    )
    threads: Count | None = None
    protocol: Text | None = Field(None, description="How thoroughly it was measured: quick or full.")
    runtime: dict[Text, Fact] | None = Field(None, description="Version and settings of the runtime.")
    machine: Machine | None = Field(None, description="Facts about the device.")
    device: Readings | None = Field(None, description="Clock, temperature and power during the measurement.")
    accuracy: Accuracy | None = Field(
        None, description="The device's pictures compared with those computed on this machine."
    )
    instructions: dict[str, Count] | None = Field(None, description="Instructions of one emulated inference, by class.")
    instructions_vs_fp32: Figure | None = Field(None, description="Ratio of the fp32 artifact's instructions to these.")
    int8_kernels: Text | None = None
    accepted: bool | None = Field(None, description="Whether the vendor's compiler or parser accepted the file.")
    blob_bytes: Count | None = None
    estimate: Estimate | None = Field(None, description="Estimate by the vendor's own cost model.")
    lint: list[Text] | None = Field(None, description="Rules of the runtime that the file breaks.")
    parser: Parser | None = None
    delegated: Delegation | None = None
    why: Text | None = Field(None, description="Why nothing was measured.")

    @property
    def busy(self) -> str:
        """What other processes took before it was timed (``Machine.others``); "" for what was not timed here."""
        timed = self.evidence == "measured" and self.latency_ms is not None
        return self.machine.others if timed and self.machine else ""

    @property
    def evidence_words(self) -> str:
        """The evidence for people, who should know of a busy machine."""
        return f"{self.evidence}, while others took {self.busy}" if self.busy else self.evidence
