"""`compress profile`: where the float model's parameters, multiplications, memory and time lie, and how they grow."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.errors import InputError
from compress.measure.busy import OtherWork
from compress.measure.machine import machine_facts, physical_cores
from compress.progress import Progress
from compress.python_process import python_command, python_environment
from compress.recipe import library
from compress.results.machine import Machine, busy_notes

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from compress.elir.profile_worker import StageCost

SIZES = (128, 256, 512, 1024)
RUNS = 5
NETWORKS = {"enc": "encoder", "mmse": "MMSE estimator", "fmir": "flow", "dec": "decoder"}
# Large tensors then are pages of their own, given back at once: what stays in the allocator would be a false peak.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@dataclass(frozen=True)
class Profile:
    """``parameters`` by network; ``sizes``: side in px -> network -> {macs, ms, peak_mb} (the flow: all K steps)."""

    source: str
    k_steps: int
    threads: int
    parameters: dict[str, int]
    sizes: dict[int, dict[str, "StageCost"]]
    machine: Machine

    def total(self, size: int) -> "StageCost":
        """Sum of MACs and milliseconds, highest peak."""
        parts = self.sizes[size].values()
        peaks = [p["peak_mb"] for p in parts if p["peak_mb"] is not None]
        return {
            "macs": sum(p["macs"] for p in parts),
            "ms": round(sum(p["ms"] for p in parts), 3),
            "peak_mb": max(peaks, default=None),
        }

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        sizes = [{"size": n, "networks": parts, "total": self.total(n)} for n, parts in self.sizes.items()]
        return {
            "source": self.source,
            "evidence": "measured",
            "runtime": "torch fp32",
            "k_steps": self.k_steps,
            "threads": self.threads,
            "parameters": self.parameters,
            "sizes": sizes,
            "machine": self.machine.to_json(),
        }

    def table(self) -> "Group":
        """Tables for a terminal: by network at every size, then the growth of the whole."""
        from rich.console import Group
        from rich.text import Text

        notes = [Text(note) for note in busy_notes([self.machine.others])]
        return Group(*(self._by_network(size) for size in self.sizes), self._growth(), *notes)

    def _by_network(self, size: int) -> "Table":
        table = _table(f"{self.source} at {size} px", ("", "parameters M", "%", "GMAC", "%", "ms", "%", "peak MB"))
        whole, parameters = self.total(size), sum(self.parameters.values())
        for name, part in self.sizes[size].items():
            label = f"{NETWORKS[name]}, {self.k_steps} steps" if name == "fmir" else NETWORKS[name]
            own = self.parameters[name]
            table.add_row(
                label,
                *(f"{own / 1e6:.2f}", f"{own / parameters:.0%}"),
                *(f"{part['macs'] / 1e9:.1f}", f"{part['macs'] / whole['macs']:.0%}"),
                *(self._ms(part["ms"]), f"{part['ms'] / whole['ms']:.0%}", _number(part["peak_mb"])),
            )
        figures = (f"{whole['macs'] / 1e9:.1f}", "", self._ms(whole["ms"]), "", _number(whole["peak_mb"]))
        table.add_row("all", f"{parameters / 1e6:.2f}", "", *figures)
        return table

    def _ms(self, value: float) -> str:
        """Three digits that count, written out: 33.9, 1090; with a mark where other processes took the machine."""
        return f"{float(f'{value:.3g}'):.10g}{'*' if self.machine.others else ''}"

    def _growth(self) -> "Table":
        table = _table(
            f"growth (torch fp32, {self.threads} threads)", ("px", "GMAC", "ms", "peak MB", "ms / megapixel")
        )
        for size in self.sizes:
            whole = self.total(size)
            per_megapixel = whole["ms"] / (size * size / 1e6)
            figures = (f"{whole['macs'] / 1e9:.1f}", self._ms(whole["ms"]), _number(whole["peak_mb"]))
            table.add_row(str(size), *figures, f"{per_megapixel:.0f}")
        return table


def _table(title: str, columns: Sequence[str]) -> "Table":
    from rich.table import Table

    table = Table(title=title)
    for i, name in enumerate(columns):
        table.add_column(name, justify="right" if i else "left")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def profile(
    source: str,
    sizes: Sequence[int],
    progress: Progress,
    k_steps: int | None = None,
    sigma_s: float | None = None,
    runs: int = RUNS,
) -> Profile:
    """Measure a checkpoint (a path, or a bundled name), collapsed, in float32, at square pictures of ``sizes`` px.

    Raises InputError for a size that is not a multiple of 32, or too large for the memory, and what loading raises.
    """
    from compress.elir.checkpoint import load_checkpoint
    from compress.elir.overparam import collapse

    for size in sizes:
        if size < 32 or size % 32:
            raise InputError(f"size (={size}) must be a multiple of 32, at least 32: give another (--size)")
    path = library.find("weights", source)
    model = load_checkpoint(path, k_steps, sigma_s)
    progress.remark(model.taken)
    collapse(model)
    parameters = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in NETWORKS}
    job = {"checkpoint": str(path), "k_steps": k_steps, "sigma_s": sigma_s, "runs": runs, "threads": physical_cores()}
    by_size, chosen = {}, sorted(set(sizes))
    machine, others = machine_facts(), OtherWork()
    with progress.stage("profile", len(chosen), effort=sum(map(_effort, chosen))) as stage:
        for size in chosen:
            stage.note(f"{size} px")
            by_size[size] = _by_network(_worker({**job, "size": size}))
            stage.advance(effort=_effort(size))
    machine = machine.model_copy(update={"busy": others.processes()})
    return Profile(source, model.k_steps, physical_cores(), parameters, by_size, machine)


def _effort(size: int) -> int:
    """Cost of profiling a size, in pixels; starting its process takes about as long as the runs at 256 px."""
    return size**2 + 256**2


def _by_network(stages: dict[str, "StageCost"]) -> dict[str, "StageCost"]:
    """The K Euler steps as one: sums, and the highest peak."""
    steps = [part for name, part in stages.items() if name.startswith("step_")]
    peaks = [part["peak_mb"] for part in steps if part["peak_mb"] is not None]
    flow: StageCost = {
        "macs": sum(part["macs"] for part in steps),
        "ms": round(sum(part["ms"] for part in steps), 3),
        "peak_mb": max(peaks, default=None),
    }
    return {"enc": stages["latent"], "mmse": stages["mmse"], "fmir": flow, "dec": stages["output"]}


def _worker(job: Mapping[str, object]) -> dict[str, "StageCost"]:
    command, environment = python_command("-m", "compress.elir.profile_worker"), python_environment(**ALLOCATOR)
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, env=environment)
    if done.returncode == -9 or "DefaultCPUAllocator" in done.stderr:
        raise InputError(f"size (={job['size']}): does not fit in memory: give smaller ones (--size)")
    if done.returncode:
        raise RuntimeError(f"profiling ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    costs: dict[str, StageCost] = json.loads(done.stdout)
    return costs
