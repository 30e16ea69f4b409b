"""About how long a run will take, by what an earlier one of the same recipe took; nothing else is a basis for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compress.errors import CompressError
from compress.pipeline.context import RunContext
from compress.results.document import Results
from compress.results.file import RESULTS, read_results
from compress.text import duration, printable

MEASURED = "int8_sr took 279 s on 2 cores, AVX-512 and VNNI (Intel Xeon)"
"""The run of README's table. Of other recipes, models and machines it says the order of magnitude at most."""


@dataclass(frozen=True)
class RunTime:
    """``seconds``: what the earlier run took; None where there was none. ``basis``: where that is from, for people."""

    seconds: float | None
    basis: str

    def __str__(self) -> str:
        return f"not known: {self.basis}" if self.seconds is None else f"about {duration(self.seconds)}: {self.basis}"


def run_time(context: RunContext) -> RunTime:
    """Expected time, by the bundle in the run's folder or else the recipe's default folder, if made from the start and
    of the same artifacts: those of another format or backend take other times."""
    name, planned = context.recipe.name, {artifact.id for artifact in context.planned}
    for folder, results in _earlier(context):
        if results.name == name and results.seconds is not None and _is_whole(results):
            if {artifact.id for artifact in results.artifacts} != planned:
                continue
            where = f"{results.machine.cores or '?'} cores, {results.machine.cpu or 'CPU not recorded'}"
            others = next((entry.busy for entry in results.performance if entry.busy), None)
            where += f"; other processes took {others}" if others else ""
            took = f"the run of {results.created[:10]} that made {folder} took {results.seconds:.0f} s ({where})"
            return RunTime(results.seconds, printable(took))
    none = f"no earlier run of {name} with these artifacts from the start is here"
    # README's run made no program of another backend, whose compiler takes times of its own.
    readme = all(artifact.backend == "xnnpack" for artifact in context.planned)
    return RunTime(None, f"{none}; where README was measured, {MEASURED}" if readme else none)


def _earlier(context: RunContext) -> Iterator[tuple[Path, Results]]:
    for folder in dict.fromkeys((context.folder, Path("runs", context.recipe.name))):
        if (folder / RESULTS).is_file():
            try:
                yield folder, read_results(folder)
            except CompressError:
                continue  # damaged: the run itself says so


def _is_whole(results: Results) -> bool:
    """Whether the run wrote every file itself: one that went on where another was stopped lists fewer stages."""
    made = {stage.stage for stage in results.seconds_by_stage}
    return all(f"write {a.id}" in made for a in results.artifacts if a.format != "executorch")
