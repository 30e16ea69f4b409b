"""`compress bench --throughput`: artifacts on a whole picture and on a clip, by the very way of `compress restore`."""

import json
import math
import select
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from compress.bundle.open import Bundle, open_bundle
from compress.elir.tiles import Tiling
from compress.errors import InputError, Unavailable, VerificationError, error_of
from compress.ledger.record import record_bench
from compress.pipeline.bench_targets import Benches, bench_targets, targets_of
from compress.python_process import python_command, python_environment
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.image_size import Shape
from compress.recipe.library import find
from compress.recipe.task import TASKS, task_scale
from compress.recipe.validation import load_model
from compress.restore.open import default_overlap
from compress.results.performance import Performance, WholePicture
from compress.targets.local import PRECISION
from compress.targets.runner.sampler import Sampler
from compress.text import duration

if TYPE_CHECKING:
    from compress.progress import Progress

CLIP = (360, 640)
"""Height and width of a frame, as it is given."""
ROUNDS = {"quick": 2, "full": 5}
LEAST_MP, MOST_MP, MOST_FRAMES = 0.01, 178.0, 1000
TICK_S = 1.0


@dataclass(frozen=True)
class Throughput:
    """What to measure: one picture of ``megapixels`` of the output, and a clip of ``frames`` frames, or none (0)."""

    megapixels: float = 12.0
    frames: int = 2

    def __post_init__(self) -> None:
        """Raise InputError for what is out of range."""
        if not LEAST_MP <= self.megapixels <= MOST_MP:
            raise InputError(
                f"megapixels (={self.megapixels:g}) must be in [{LEAST_MP:g}, {MOST_MP:g}], of the restored picture: "
                "give another (--megapixels)"
            )
        if not 0 <= self.frames <= MOST_FRAMES:
            raise InputError(f"frames (={self.frames}) must be in [0, {MOST_FRAMES}]: give another (--clip-frames)")

    def jobs(self, scale: int) -> "list[Job]":
        """The jobs for a model that enlarges ``scale`` times."""
        height = max(1, round(math.sqrt(self.megapixels * 1e6 * 3 / 4) / scale))
        picture = Job("picture", height, max(1, round(height * 4 / 3)), 1)
        return [picture, *([Job("clip", *CLIP, self.frames)] if self.frames else [])]


def throughput_of(megapixels: float | None, frames: int | None, *, asked: bool) -> Throughput | None:
    """What `compress bench` was given; None where throughput was not asked for.

    Raises InputError for a size that nothing is measured of, and as ``Throughput``.
    """
    given = {name: value for name, value in (("megapixels", megapixels), ("frames", frames)) if value is not None}
    if given and not asked:
        raise InputError(f"{next(iter(given))}: is of whole pictures: ask for them, too (--throughput)")
    return Throughput(**given) if asked else None  # type: ignore[arg-type]


class Job(NamedTuple):
    """Pictures to restore one after the other: ``frames`` of height x width px, as they are given."""

    kind: Literal["picture", "clip"]
    height: int
    width: int
    frames: int

    def __str__(self) -> str:
        size = f"{self.width} x {self.height} px"
        return f"a picture of {size}" if self.kind == "picture" else f"a clip of {self.frames} frames of {size}"


def bench_whole(
    bundle: Path, targets: Sequence[str], what: Throughput | None, progress: "Progress", host: str | None = None
) -> Benches:
    """As ``bench_targets``, then ``what`` by every artifact that was timed, in ``whole_pictures`` of its entry.

    Restoring runs on this machine, by as many threads as it has cores and with the runtimes' defaults: raises
    InputError for targets elsewhere, or that ask for something else, before anything is measured.
    """
    if what is None:
        return bench_targets(bundle, targets, progress, host)
    for name in targets_of(bundle, targets):
        _check(load_model(DeployTarget, find("targets", name)), host)

    def measure_and_record(folder: Path, entries: Sequence[Performance], say: Callable[[str], None]) -> None:
        measure(folder, entries, what, progress)
        record_bench(folder, entries, say)

    return bench_targets(bundle, targets, progress, host, record=measure_and_record)


def _check(target: DeployTarget, host: str | None) -> None:
    options = target.options.items() - {(PRECISION, "f32")}  # as restoring computes, too
    provider = target.provider != "cpu"
    own = [name for name, value in (("options", options), ("threads", target.threads), ("provider", provider)) if value]
    if host is not None or target.reach != "local" or target.device != "CPU":
        where = f"on {host}" if host else f"by {target.reach}" if target.reach != "local" else f"on the {target.device}"
        why = f"runs {where}, and pictures are restored on this machine's CPU"
    elif own:
        why = f"sets {own[0]}, which `compress restore` does not take"
    else:
        return
    raise InputError(f"target {target.name} {why}: ask for no throughput, or choose another target (--target)")


def measure(bundle: Path, entries: Sequence[Performance], what: Throughput, progress: "Progress") -> None:
    """Set ``whole_pictures`` of every entry that was timed. Raises what restoring raises."""
    opened = open_bundle(bundle)
    timed = {e.artifact: (e, e.latency_ms.p50) for e in entries if e.latency_ms and e.latency_ms.p50}
    rounds = ROUNDS[opened.manifest.recipe.measure if opened.manifest.recipe else "quick"]
    works = [_work(opened, id) for id in timed]
    jobs = what.jobs(works[0].scale) if works else []
    seconds = sum((rounds + 1) * work.tiles(job) * timed[work.id][1] / 1000 for work in works for job in jobs)
    if works:
        shown = " and ".join(map(str, jobs))
        progress.say(
            f"throughput: {shown}, {rounds} times by each of {len(works)} artifacts: about {duration(seconds)}"
        )
    for job in jobs:
        for id, found in throughput(works, job, rounds, progress).items():
            entry = timed[id][0]
            entry.whole_pictures = [*(entry.whole_pictures or []), found]


@dataclass(frozen=True)
class Work:
    """``source``, as ``open_restorer`` takes it, and what it makes of pictures: ``scale`` times larger ones, in tiles
    of ``tile`` px (height, width), as restoring cuts them by itself.
    """

    id: str
    source: str
    scale: int
    tile: Shape

    def tiles(self, job: Job) -> int:
        """Number of tiles of all pictures of ``job``."""
        tiling = Tiling(self.scale, self.tile, default_overlap(self.tile), fixed=True)
        return job.frames * tiling.plan(job.height, job.width).tiles

    def command(self, job: Job) -> list[str]:
        """Command line of the process that restores; its docstring says what it answers."""
        numbers = map(str, (job.height, job.width, job.frames))
        return python_command("-m", "compress.restore.whole_pictures_worker", self.source, *numbers)


def _work(bundle: Bundle, id: str) -> Work:
    artifact = bundle.artifact(id)
    if artifact.task not in TASKS:
        raise InputError(f"{bundle.folder}: does not say what {id} is for: write the bundle again")
    return Work(id, str(bundle.folder / artifact.entry), task_scale(artifact.task), bundle.shape(artifact))  # type: ignore[arg-type]


def throughput(works: Sequence[Work], job: Job, rounds: int, progress: "Progress") -> dict[str, WholePicture]:
    """The figures of each of ``works``, by its id.

    Each is loaded in a process of its own and warmed up; then, ``rounds`` times, each restores all of ``job``, one
    after the other in random order: what disturbs the machine for a while disturbs all. The median counts.
    """
    rng, answers = np.random.default_rng(0), {work.id: [] for work in works}  # type: ignore[var-annotated]
    steps = len(works) * (rounds + 1)
    with ExitStack() as stack, progress.stage(f"throughput, {job.kind}", steps, even=False) as stage:
        processes = {}
        for work in works:
            stage.note(f"load {work.id}")
            processes[work.id] = stack.enter_context(_process(work, job))
            _answer(processes[work.id], work.id)
            stage.advance()
        for _ in range(rounds):
            for i in rng.permutation(len(works)):
                id = works[i].id
                stage.note(id)
                answers[id].append(_timed(processes[id], id))
                stage.advance()
    return {work.id: _figures(work, job, answers[work.id]) for work in works}


def _figures(work: Work, job: Job, runs: Sequence[Mapping[str, Any]]) -> WholePicture:
    if len({run["sha256"] for run in runs}) > 1:
        raise VerificationError(f"{work.id}: gives another picture each time: do not use it")
    seconds = statistics.median(run["seconds"] for run in runs)
    height, width = job.height * work.scale, job.width * work.scale
    megapixels = height * width / 1e6
    joules = [run["joules"] for run in runs if run["joules"] is not None]
    return WholePicture(
        kind=job.kind,
        width=width,
        height=height,
        frames=job.frames,
        tiles=work.tiles(job),
        n=len(runs),
        seconds=round(seconds, 4),
        megapixels_per_s=round(job.frames * megapixels / seconds, 4),
        peak_rss_mb=runs[-1]["peak_rss_mb"],
        joules_per_megapixel=round(statistics.median(joules) / (job.frames * megapixels), 3) if joules else None,
    )


@contextmanager
def _process(work: Work, job: Job) -> Iterator["subprocess.Popen[bytes]"]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        work.command(job), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=python_environment(), bufsize=0
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


def _timed(process: "subprocess.Popen[bytes]", id: str) -> dict[str, Any]:
    """One run, with the ``joules`` that the machine took meanwhile, None where it does not tell."""
    assert process.stdin is not None
    sampler = Sampler()
    sampler.take()
    with suppress(BrokenPipeError):  # it ended: its last answer, or that there is none, says why
        process.stdin.write(b"\n")
    try:
        run = _answer(process, id, sampler.take)
    finally:
        sampler.take()
        sampler.stop()
    return {**run, "joules": sampler.joules}


def _answer(process: "subprocess.Popen[bytes]", id: str, each: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """The next answer; ``each`` is called about once a second until it is there."""
    assert process.stdout is not None
    while not select.select([process.stdout], [], [], TICK_S)[0]:
        each()
    line = process.stdout.readline()
    if not line:
        why = "killed: the machine is short of memory, or somebody ended it" if process.wait() == -9 else "ended early"
        raise Unavailable(f"{id}: {why}: measure a smaller picture (--megapixels), or check the artifact with `verify`")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise error_of(answer["exit_code"])(f"{id}: {answer['error']}")
    return answer
