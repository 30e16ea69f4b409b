"""What the runner is given: which artifacts, on what inputs, by which protocol; the same here and on a device."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from compress.measure.latency import PROTOCOLS, Protocol
from compress.recipe.schema import Precision
from compress.targets.entries import Bench

INPUTS = "inputs.npz"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobFile(_Part):
    """A file of a job, by its name in the job's folder."""

    name: str
    bytes: int = 0
    sha256: str = ""


class JobArtifact(_Part):
    """``entry``: its file, in the job's folder or by an absolute path; ``options``: its own, before the job's."""

    entry: str
    precision: Precision | None = None
    files: list[JobFile] = []
    options: dict[str, str] = {}


class NativeRunner(_Part):
    """ExecuTorch's own program and its libraries."""

    version: str
    files: list[JobFile]


class Job(_Part):
    """``job.json``. ``outputs``: every picture's output is kept, for accuracy; ``backend_library``: a backend of
    ExecuTorch's that its wheel lacks, on this machine; times in s, memory in MB."""

    artifacts: dict[str, JobArtifact]
    inputs: JobFile = JobFile(name=INPUTS)
    runtime: str
    runtime_min: str | None = None
    options: dict[str, str | int | float | bool] = {}
    provider: str = "cpu"
    device: str = "CPU"
    threads: int = 0
    arch: str = ""
    model: str | None = None
    memory_mb: int | None = None
    protocol: Protocol = PROTOCOLS["quick"]
    cooldown_s: float = 0
    record: list[str] = []
    seed: int = 0
    outputs: bool = False
    native: NativeRunner | None = None
    backend_library: str | None = None
    idle_s: float = 0
    holder: str = ""
    lock: str = ""


def job_for(bench: Bench, artifacts: Mapping[str, JobArtifact]) -> Job:
    """A job that measures ``artifacts`` as the target says."""
    target, protocol = bench.target, PROTOCOLS[bench.mode]
    return Job(
        artifacts=dict(artifacts),
        runtime=target.runtime,
        runtime_min=target.runtime_min,
        options=target.options,
        provider=target.provider,
        device=target.device,
        threads=target.threads,
        arch=target.arch,
        model=target.model,
        memory_mb=target.memory_mb,
        protocol=replace(protocol, warmup_s=target.measuring.warmup_s or protocol.warmup_s),
        cooldown_s=target.measuring.cooldown_s,
        record=list(target.measuring.record),
        seed=bench.seed,
    )
