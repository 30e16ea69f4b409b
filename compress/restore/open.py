"""A checkpoint, an artifact or a bundle, opened for restoring pictures."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import artifact_of, not_run
from compress.artifacts.runtime.base import MOST_SCALE, PACKAGES, SUFFIXES, Runner, format_of
from compress.artifacts.runtime.open import open_runner, streams_of
from compress.artifacts.runtime.staged import StagedRunner
from compress.artifacts.runtime.trial import probe
from compress.bundle.hub import local
from compress.bundle.manifest import MANIFEST
from compress.bundle.open import Bundle, OpenArtifact, open_bundle
from compress.bundle.schema import ManifestArtifact
from compress.elir.latent import LATENT_STRIDE, SIZE_MULTIPLE
from compress.elir.metadata import read_metadata, student_for
from compress.elir.restore import TorchNetworks, drawn_noise, restore, restore_bytes, restore_staged, tile_seeds
from compress.elir.tiles import DEFAULT_OVERLAP, DEFAULT_TILE, OnTile, Tiling
from compress.errors import InputError, Unavailable
from compress.files import real_path
from compress.hub import is_on_hub
from compress.measure.machine import physical_cores
from compress.recipe.library import did_you_mean, find, is_path
from compress.recipe.schema import Precision
from compress.recipe.task import TASKS, Task, task_scale

if TYPE_CHECKING:
    import numpy as np

    from compress.elir.model import Elir

PRECISIONS: tuple[Precision, ...] = ("int8", "weights", "fp16", "fp32")
"""Order in which a bundle's artifacts are chosen, by precision."""
PREFERRED = [(precision, format) for precision in PRECISIONS for format in PACKAGES]
GIVE_TASK = f"give task (--task: {', '.join(TASKS)})"
STREAMS_FROM = 32
"""Tiles from which an artifact is loaded again, to compute several at once: what that gains outweighs the load."""
DEPTH = 4  # folders above an artifact where its bundle's manifest may lie


@dataclass(frozen=True)
class Settings:
    """How to restore. What is None from ``scale`` on is taken from the source itself."""

    tile: int | None = None
    """Side in px of the output, a multiple of 32; 0: the whole picture; None: 256, or the artifact's own."""
    overlap: int | None = None
    """Px that neighbouring tiles share, a multiple of 8; None: 64, or what a small tile leaves."""
    seed: int = 0
    """Seed of the sampling noise."""
    scale: int | None = None
    k_steps: int | None = None
    sigma_s: float | None = None
    task: Task | None = None
    enlarged: bool = False
    """Pictures are on the output grid already, for a source that takes such: not one that ``enlarges``."""

    def __post_init__(self) -> None:
        """Raise InputError for what is no number, or a number out of range whatever the source is."""
        for name in ("tile", "overlap", "seed", "scale", "k_steps", "sigma_s"):
            value, kind = getattr(self, name), Real if name == "sigma_s" else Integral
            if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
                raise InputError(f"{name} (={value!r}) must be a {'' if kind is Real else 'whole '}number: give one")
        if self.task is not None and self.task not in list(TASKS):  # a caller's list has no hash
            near = did_you_mean(str(self.task), TASKS)
            raise InputError(f"task (={self.task!r}) must be one of {', '.join(TASKS)}{near}")
        if self.seed < 0:
            raise InputError(f"seed (={self.seed}) must be 0 or more: give another")
        if self.scale is not None and not 1 <= self.scale <= MOST_SCALE:
            raise InputError(f"scale (={self.scale}) must be in [1, {MOST_SCALE}]: give another")


@dataclass(frozen=True)
class ArtifactFile:
    """An artifact to open. ``bundled``: what the bundle that lists it has of it, its files checked and read."""

    entry: Path
    bundled: OpenArtifact | None = None


@dataclass
class Loaded:
    """An artifact's runner, of the kind that its pictures need: one tile at a time on all threads until a picture has
    ``STREAMS_FROM`` tiles, then ``most`` at once. ``load`` takes ``streams``, as ``open_runner``.
    """

    load: Callable[..., Runner]
    most: int
    streams: int = 1
    _runner: Runner | None = None

    def runner_for(self, tiles: int) -> Runner:
        """The runner for a picture of so many tiles."""
        if self.streams < self.most and tiles >= STREAMS_FROM:
            self._runner, self.streams = None, self.most  # dropped before the other is loaded: memory for one is enough
        if self._runner is None:
            self._runner = self.load(streams=self.streams)
        return self._runner


@dataclass(frozen=True)
class Restorer:
    """A source, ready to restore pictures."""

    task: Task | None
    """None where the source records none that is known."""
    tiling: Tiling
    restore: "Callable[[np.ndarray, OnTile], np.ndarray]"
    """Picture (H, W, 3) uint8, and what is called ``steps`` times meanwhile -> (scale H, scale W, 3) uint8."""
    enlarges: bool = False
    """The artifact enlarges pictures itself, and takes none that is on the output grid already."""
    staged: bool = False
    """Encoder and decoder are tiled, the flow is not."""
    remark: str = ""
    """What its user should know of the source."""
    advice: str = ""
    """What to take instead where the work is long; nothing where there is nothing faster."""

    @property
    def scale(self) -> int:
        """Factor by which pictures are enlarged."""
        return self.tiling.scale

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile in px of the output; 0: the whole side."""
        return self.tiling.tile

    def tiling_of(self, height: int, width: int) -> Tiling:
        """How a picture of (H, W) is cut."""
        return self.tiling

    def tiles(self, height: int, width: int) -> int:
        """Number of tiles of a picture of (H, W)."""
        return self.tiling_of(height, width).plan(height, width).tiles

    def steps(self, height: int, width: int) -> int:
        """Calls of ``on_tile`` for a picture of (H, W)."""
        tiles = self.tiles(height, width)
        return 2 * tiles + 1 if self.staged else tiles


@dataclass(frozen=True)
class ShapesRestorer(Restorer):
    """Artifacts of several shapes: a picture goes through the one that computes the fewest pixels for it."""

    tilings: tuple[Tiling, ...] = ()

    def tiling_of(self, height: int, width: int) -> Tiling:
        return min(self.tilings, key=lambda tiling: tiling.computed(height, width))


def open_restorer(source: str, settings: Settings) -> Restorer:
    """Open ``source``: a bundled checkpoint's name, or the path of a checkpoint, an artifact or a bundle's folder, each
    of which may be on the Hub (``hf://OWNER/NAME``).

    Raises InputError for settings that the source does not admit, and what opening the source raises.
    """
    path = Path(source)
    if is_on_hub(source) and path.suffix != ".safetensors":
        path = local(source)
    elif is_path(source) and not path.suffix and not path.exists():
        raise InputError(
            f"{source}: no such bundle (looked for {path.absolute()}): check the path, or give a built-in model's name "
            "(`compress ls models`)"
        )
    if not (path.is_dir() or path.suffix in SUFFIXES):
        return _checkpoint(find("weights", source), settings)
    if settings.k_steps is not None or settings.sigma_s is not None:
        raise InputError(
            f"{source}: K and sigma_s are fixed inside an artifact: leave k_steps and sigma_s out "
            "(--k-steps, --sigma-s)"
        )
    return _bundle(path, settings) if path.is_dir() else _artifact(_file(path), settings)


def load_model(path: Path, settings: Settings) -> "Elir":
    """The model of a checkpoint. Raises InputError for all that it does not record and ``settings`` do not give."""
    from compress.elir.checkpoint import NumbersUnknown, load_checkpoint

    try:
        return load_checkpoint(path, settings.k_steps, settings.sigma_s)
    except NumbersUnknown as error:
        recorded = read_metadata(path).get("task") if path.suffix == ".safetensors" else None
        if settings.task or settings.scale or recorded in TASKS:
            raise
        raise InputError(f"{error}; it does not say what it is for either: give task, too (--task)") from None


def _checkpoint(path: Path, settings: Settings) -> Restorer:
    model = load_model(path, settings)
    task = _chosen(path, model.metadata.get("task"), settings)
    scale = _scale(path, task, settings)
    side = DEFAULT_TILE if settings.tile is None else settings.tile
    tile = (side, side)
    tiling, networks = Tiling(scale, tile, _overlap(settings, tile)), TorchNetworks(model)

    def run(picture: "np.ndarray", on_tile: OnTile) -> "np.ndarray":
        return restore_staged(picture, networks, tiling, seed=settings.seed, on_tile=on_tile)

    advice = _advice(task, model.k_steps)
    return Restorer(task, tiling, run, staged=True, remark=model.taken, advice=advice)


def _advice(task: Task | None, k_steps: int) -> str:
    student = student_for(task, k_steps)
    if student is None:
        return ""
    name, fewer = student
    steps = "1 Euler step" if fewer == 1 else f"{fewer} Euler steps"
    return f"the built-in {name} is for the same task and takes {steps} instead of {k_steps}"


def _bundle(folder: Path, settings: Settings) -> Restorer:
    """The bundle's artifact, or those of the shapes that it has; each is loaded for the first picture that needs it."""
    bundle, artifacts = choose(folder)
    shapes = {bundle.shape(facts): facts for facts in artifacts} if len(artifacts) > 1 else {}
    if (asked := (settings.tile, settings.tile)) in shapes:
        artifacts, shapes = [shapes[asked]], {}  # type: ignore[index]

    def load(facts: ManifestArtifact) -> Restorer:
        opened = bundle.open_artifact(facts)
        return _artifact(ArtifactFile(opened.path, opened), settings)

    first = load(artifacts[0])
    if not shapes:
        return first
    loaded = {first.tile: first}
    tilings = tuple(replace(first.tiling, tile=shape, overlap=_overlap(settings, shape)) for shape in shapes)

    def run(picture: "np.ndarray", on_tile: OnTile) -> "np.ndarray":
        tile = several.tiling_of(*picture.shape[:2]).tile
        if tile not in loaded:
            loaded[tile] = load(shapes[tile])
        return loaded[tile].restore(picture, on_tile)

    several = ShapesRestorer(first.task, first.tiling, run, enlarges=first.enlarges, tilings=tilings)
    return several


def _artifact(artifact: ArtifactFile, settings: Settings) -> Restorer:
    entry, format = artifact.entry, format_of(artifact.entry)
    bundled = artifact.bundled
    contents = bundled.contents if bundled else None
    if format == "executorch" and (contents or entry.is_file()):
        probe(entry, contents)
    threads = physical_cores()
    load = partial(open_runner, entry, format, threads, contents=contents)
    loaded = Loaded(load, streams_of(format, threads))
    runner = loaded.runner_for(tiles=1)
    tile = height, width = runner.tile
    if settings.tile is not None and (settings.tile, settings.tile) != tile:
        raise InputError(f"tile (={settings.tile}) differs from the artifact's {height} x {width} px: leave it out")
    task = _chosen(entry, (bundled.facts.task if bundled else None) or runner.about.get("task"), settings)
    scale = runner.scale if runner.takes_pictures else _scale(entry, task, settings)
    if settings.scale not in (None, scale):
        raise InputError(f"scale (={settings.scale}) differs from the artifact's {scale}, which enlarges: leave it out")
    tiling = Tiling(scale, tile, _overlap(settings, tile), fixed=True)
    noise = tile_seeds(settings.seed) if runner.takes_seed else drawn_noise(settings.seed)

    def run(picture: "np.ndarray", on_tile: OnTile) -> "np.ndarray":
        runner = loaded.runner_for(tiling.plan(*picture.shape[:2]).tiles)
        given: Any = {"on_tile": on_tile, "streams": loaded.streams}
        if isinstance(runner, StagedRunner):
            return restore_staged(picture, runner, tiling, seed=settings.seed, **given)
        if runner.takes_pictures:
            return restore_bytes(picture, runner.restore, tiling, noise=noise, **given)
        return restore(picture, runner.run, tiling, noise=noise, **given)

    staged, enlarges, advice = isinstance(runner, StagedRunner), runner.scale > 1, _tile_advice(tiling)
    del runner  # ``loaded`` alone holds it, so that it can be dropped
    return Restorer(task, tiling, run, enlarges=enlarges, staged=staged, advice=advice)


def _tile_advice(tiling: Tiling) -> str:
    """What to do about tiles that mostly overlap: most pixels are then computed several times."""
    side = min(tiling.tile)
    if side > 2 * tiling.overlap:
        return ""
    return (
        f"tiles of {side} px that overlap by {tiling.overlap} px are computed several times over: take files of a "
        "larger model.image_size (256 is usual), or a smaller overlap (--overlap)"
    )


def _overlap(settings: Settings, tile: tuple[int, int]) -> int:
    return default_overlap(tile) if settings.overlap is None else settings.overlap


def default_overlap(tile: tuple[int, int]) -> int:
    """Px that neighbouring tiles of (height, width) share where nothing else is asked."""
    most = (min(tile) or DEFAULT_TILE) - SIZE_MULTIPLE
    return max(0, min(DEFAULT_OVERLAP, most // LATENT_STRIDE * LATENT_STRIDE))


def _chosen(path: Path, recorded: str | None, settings: Settings) -> Task | None:
    """The task that the source records, else the one in ``settings``."""
    known: Task | None = recorded if recorded in TASKS else None  # type: ignore[assignment]
    if known is not None and settings.task not in (None, known):
        raise InputError(f"{path}: says of itself that it is for {known}, not {settings.task}: leave task out (--task)")
    return known or settings.task


def _scale(path: Path, task: Task | None, settings: Settings) -> int:
    if settings.enlarged:
        return 1
    if settings.scale is not None:
        return settings.scale
    if task is None:
        raise InputError(
            f"{path}: does not say what it is for: {GIVE_TASK}, or scale (--scale; 1: pictures are on the "
            "output grid already)"
        )
    return task_scale(task)


def choose(bundle: Path) -> tuple[Bundle, list[ManifestArtifact]]:
    """The bundle, and its artifact to restore with, of an installed runtime; of each shape that the recipe has, one.

    Quantized artifacts come before fp16 and fp32 ones, OpenVINO's before the others.
    Raises InputError, Unavailable or VerificationError.
    """
    opened = open_bundle(bundle)
    kinds: dict[tuple[str, str], list[ManifestArtifact]] = {}
    absent = ""
    for facts in opened.manifest.artifacts:
        if why := not_run(facts.id):
            absent = absent or f"{facts.id} is not run here: {why}"
            continue
        kinds.setdefault((facts.precision, facts.format), []).append(facts)
    for kind in PREFERRED:
        if kind in kinds and importlib.util.find_spec(PACKAGES[kind[1]]):
            first, *others = kinds[kind]
            return opened, [first, *(other for other in others if _is_further_shape(other))]
    if not kinds and absent:
        raise Unavailable(f"{bundle}: {absent}")
    raise Unavailable(f"{bundle}: no runtime installed for its {len(kinds)} kinds of artifact: pip install openvino")


def _is_further_shape(facts: ManifestArtifact) -> bool:
    artifact = artifact_of(facts.id, facts.format, facts.precision)
    return artifact.shape is not None and not artifact.variant


def located(source: str) -> tuple[Path, str | None]:
    """The bundle that ``source`` names, or that holds the artifact that it names, and that artifact's id.

    Raises InputError if the artifact is not in a bundle.
    """
    path = local(source)
    if path.is_dir():
        return path, None
    bundled = _file(path).bundled if path.suffix in SUFFIXES else None
    if bundled is None:
        raise InputError(
            f"{source}: lies in no bundle, whose artifacts are what is timed: open one that `compress apply` wrote, or "
            "time a checkpoint with `compress profile`"
        )
    return bundled.path.parents[len(Path(bundled.facts.entry).parts) - 1], bundled.facts.id


def _file(entry: Path) -> ArtifactFile:
    """``entry`` with what the manifest of the bundle that holds it records; alone when it lies in no bundle."""
    wanted = real_path(entry)
    # As it was given first: in a cache of the Hugging Face hub the file is a link out of its bundle.
    for folder in (*entry.absolute().parents[:DEPTH], *wanted.parents[:DEPTH]):
        if (folder / MANIFEST).is_file():
            opened = open_bundle(folder)
            for facts in opened.manifest.artifacts:
                if wanted in {real_path(folder / graph) for graph in facts.graphs}:
                    return ArtifactFile(entry, opened.open_artifact(facts))
    return ArtifactFile(entry)
