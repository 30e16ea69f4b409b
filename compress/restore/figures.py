"""Figures of pictures: what a model, its input and the autoencoder make of each, and their means."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Union

from compress.errors import InputError
from compress.measure.quality import score
from compress.recipe import library
from compress.recipe.task import Task, task_border, task_degradation, task_scale
from compress.restore.open import GIVE_TASK, Settings, open_restorer

if TYPE_CHECKING:
    import numpy as np

    from compress.measure.iqa import IqaMeasure

    Restore = Callable[[np.ndarray], np.ndarray]
    Make = Callable[["Pixels"], np.ndarray]

MIN_SIDE = 32  # px, of LPIPS
COLUMNS = {"psnr_db": "PSNR dB", "psnr_y_db": "PSNR-Y dB", "ssim": "SSIM", "lpips": "LPIPS", "color_shift": "colour"}


@dataclass(frozen=True)
class Figures:
    """All figures of ``n`` pictures by one maker. A figure that does not exist, as without a true picture, is None.

    ``others``: ``niqe`` and the measures that were asked for.
    """

    n: int
    others: dict[str, float | None]
    psnr_db: float | None = None
    psnr_y_db: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    color_shift: float | None = None

    def values(self) -> dict[str, float | None]:
        """Every measure by its key, in the order of tables."""
        return {name: getattr(self, name) for name in COLUMNS} | self.others


Read = Union["tuple[str, Pixels]", "LeftOut"]
"""A picture's name and its pixels; or why it was left out."""

LabelledFigures = tuple[str, dict[str, Figures]]
"""A picture's name and its figures, by maker."""


@dataclass(frozen=True)
class Pixels:
    """A picture (H, W, 3) uint8, ``degraded`` and ``clean``, and the small ``image`` that was enlarged to the former;
    None: there is none, or it is not known."""

    degraded: "np.ndarray"
    clean: "np.ndarray | None"
    image: "np.ndarray | None"


@dataclass(frozen=True)
class LeftOut:
    """A picture that has no figures. ``why`` names its file; ``failed``: it should have had some."""

    name: str
    why: str
    failed: bool


@dataclass(frozen=True)
class JudgeOptions:
    """How a source is judged."""

    model: Settings = field(default_factory=Settings)
    """How its pictures are restored; a ``scale`` is not looked at: degraded pictures are on the output grid already."""
    metrics: tuple[str, ...] = ()
    """pyiqa's measures, by its names, beside our own."""
    ceiling: str | None = None
    """Judge, too, what the bundled autoencoder of this name makes of the clean pictures."""


@dataclass(frozen=True)
class Judge:
    """Judges pictures. ``makers``: ``model``, ``input`` and, where asked for, ``autoencoder``."""

    task: Task
    makers: "dict[str, Make]"
    measures: "list[IqaMeasure]"
    remark: str = ""
    """What its user should know of the source."""

    @classmethod
    def open(cls, source: str, options: JudgeOptions) -> "Judge":
        """Errors as ``compress.restore.evaluate.evaluate``'s."""
        restorer = open_restorer(source, replace(options.model, scale=None, enlarged=True))
        if restorer.task is None:
            raise InputError(f"{source}: does not say what it is for: {GIVE_TASK}")
        makers: dict[str, Make] = {
            "model": lambda p: restorer.restore(_small(p) if restorer.enlarges else p.degraded, lambda: None),
            "input": lambda pixels: pixels.degraded,
        }
        measures = _asked_for(options.metrics)
        if options.ceiling is not None:
            reconstruct = _autoencoder(options.ceiling)
            makers["autoencoder"] = lambda pixels: reconstruct(_truth(pixels.clean))
        return cls(restorer.task, makers, measures, restorer.remark)

    @property
    def border(self) -> int:
        """Pixels that measures on luma leave out."""
        return task_border(self.task)

    @property
    def of_sets(self) -> "list[IqaMeasure]":
        """Measures that compare whole sets."""
        return [m for m in self.measures if m.of_sets]

    def refuse_shards(self) -> None:
        """Raise InputError for measures that need all pictures in one place."""
        if self.of_sets:
            names = ", ".join(m.name for m in self.of_sets)
            raise InputError(f"metric {names}: compares whole sets, not pictures: leave shards out (--shards)")

    def read(self, pictures: "Iterable[Read]") -> "Iterator[LeftOut | tuple[LabelledFigures, dict[str, np.ndarray]]]":
        """Each picture's figures, and outputs with its clean pixels. One that fails is left out, the others stand."""
        for item in pictures:
            if isinstance(item, LeftOut):
                yield item
                continue
            label, pixels = item
            try:
                figures, outputs = self.picture(pixels)
            except InputError as error:
                yield LeftOut(label, f"{label}: {error}", True)
            except MemoryError:
                height, width = pixels.degraded.shape[:2]
                yield LeftOut(label, f"{label}: {width} x {height} px do not fit in memory", True)
            else:
                yield (label, figures), outputs if pixels.clean is None else outputs | {"clean": pixels.clean}

    def picture(self, pixels: Pixels) -> "tuple[dict[str, Figures], dict[str, np.ndarray]]":
        """Figures and outputs of one picture, by maker."""
        outputs = {maker: make(pixels) for maker, make in self.makers.items()}
        clean = pixels.clean
        return {m: figures_of(output, clean, self.border, self.measures) for m, output in outputs.items()}, outputs


@dataclass(frozen=True)
class ShardJob:
    """Every ``of``-th picture of the set ``name``, from ``number``, judged with ``threads`` of torch."""

    source: str
    options: JudgeOptions
    name: str
    number: int
    of: int
    threads: int


def shard(job: ShardJob) -> list[LabelledFigures | LeftOut]:
    """The figures of a shard's pictures, in its order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        judge = Judge.open(job.source, job.options)
        items = judge.read(picture_list(job.name, judge.task).read(job.number, job.of))
        return [item if isinstance(item, LeftOut) else item[0] for item in items]
    finally:
        torch.set_num_threads(before)


def _asked_for(metrics: Sequence[str]) -> "list[IqaMeasure]":
    if not metrics:
        return []
    from compress.measure.iqa import open_measures

    return open_measures(metrics)


def _truth(clean: "np.ndarray | None") -> "np.ndarray":
    if clean is None:
        raise InputError("no true picture, which the autoencoder would rebuild: leave the set out")
    return clean


def _small(pixels: Pixels) -> "np.ndarray":
    if pixels.image is None:
        raise InputError("known only as it is enlarged, which the artifact does itself: measure a float artifact")
    return pixels.image


def figures_of(output: "np.ndarray", clean: "np.ndarray | None", border: int, measures: "list[IqaMeasure]") -> Figures:
    from compress.measure.niqe import niqe

    others = {m.key: None if m.of_sets else m.of_picture(output, clean) for m in measures}
    full = {} if clean is None else asdict(score([output], [clean], border))
    return Figures(**{"n": 1, **full}, others={"niqe": niqe(output, border)} | others)


def mean_figures(each: Sequence[Figures], of_set: dict[str, float | None]) -> Figures:
    """Means of pictures' figures, over those that have one; ``of_set`` are the whole set's."""
    present = {key: [v for f in each if (v := f.others[key]) is not None] for key in each[0].others}
    others = {key: fmean(values) if values else None for key, values in present.items()}
    full = {name: [v for f in each if (v := getattr(f, name)) is not None] for name in COLUMNS}
    means = {name: fmean(values) for name, values in full.items() if values}
    return Figures(len(each), others | of_set, **means)


def missing_notes(each: Sequence[LabelledFigures], border: int, of_sets: set[str]) -> list[str]:
    """One line for each measure that pictures lack."""
    from compress.measure.niqe import MIN_SIDE

    why = {"niqe": f"it needs {MIN_SIDE} px a side inside a border of {border} px, and texture"}
    notes = []
    for key in each[0][1]["model"].others.keys() - of_sets:
        lacking = [label for label, figures in each if any(f.others[key] is None for f in figures.values())]
        if lacking:
            named = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
            reason = why.get(key, "its value is not finite, or there is no true picture")
            notes.append(f"{key} is missing for {len(lacking)} of {len(each)} pictures ({named}): {reason}")
    return notes


@dataclass(frozen=True)
class PictureFolders:
    """Pictures as files, a folder a maker, for the measures that compare folders."""

    folder: Path
    measures: "list[IqaMeasure]"

    def add(self, number: int, pictures: "dict[str, np.ndarray]") -> None:
        from PIL import Image

        for maker, picture in pictures.items() if self.measures else ():
            (self.folder / maker).mkdir(exist_ok=True)
            Image.fromarray(picture).save(self.folder / maker / f"{number:06}.png", compress_level=1)

    def values(self, maker: str) -> dict[str, float | None]:
        clean = self.folder / "clean"
        return {m.key: m.of_folders(self.folder / maker, clean) if clean.is_dir() else None for m in self.measures}


def _autoencoder(name: str) -> "Restore":
    """Clean picture (H, W, 3) uint8 -> what the bundled autoencoder ``name`` makes of it."""
    import torch

    from compress.elir.checkpoint import load_autoencoder
    from compress.elir.restore import restore
    from compress.elir.train.fresh import teacher_model

    model = teacher_model(load_autoencoder(library.find("weights", name)))

    def run(lq: "np.ndarray", noise: "np.ndarray") -> "np.ndarray":
        with torch.inference_mode():
            return model.dec(model.enc(torch.from_numpy(lq))).numpy()

    return lambda clean: restore(clean, run)


@dataclass(frozen=True)
class PictureList:
    """Pictures of one set. ``read(number, of)``: name and pixels of every ``of``-th, from ``number``, or which picture
    was left out and why. ``notes``: on the folder.
    """

    dataset: str
    whole: bool
    """Whole pictures, not crops."""
    count: int
    read: "Callable[..., Iterator[Read]]"
    check: "Callable[[], None]" = lambda: None
    """Raise InputError for pictures that would end the measuring later."""
    notes: tuple[str, ...] = ()


def picture_list(name: str, task: Task, called: str | None = None) -> PictureList:
    """The pictures of a set's name, its file, or a folder; ``called``: its ``dataset``.

    Raises InputError where there are none.
    """
    from compress.data.folders import scan
    from compress.data.names import set_names
    from compress.data.sets import load_set

    called = called or set_names([name])[0]
    folder = library.find("calibration", name)
    if not folder.is_dir():
        pictures = load_set(name, task, name=called)

        def crops(number: int = 0, of: int = 1) -> "Iterator[Read]":
            chosen = islice(pictures, number, None, of)
            return ((item.name, Pixels(item.degraded, item.clean, item.image)) for item in chosen)

        # What truth's absence means is said with the figures.
        notes = tuple(note for note in pictures.notes if note != pictures.truth_note)
        return PictureList(pictures.name, False, len(pictures), crops, pictures.check, notes)
    listing = scan(folder)
    paths = listing.pictures
    if not paths:
        others = f", left out: {listing.left_out}" if listing.others else ""
        raise InputError(f"{folder}: no pictures in this folder{others}: check the path")

    def read(number: int = 0, of: int = 1) -> "Iterator[Read]":
        return _whole(folder, paths[number::of], task)

    return PictureList(called, True, len(paths), read, notes=tuple(listing.words(folder)))


def _whole(folder: Path, paths: Sequence[Path], task: Task) -> "Iterator[Read]":
    """Whole pictures, cut to a multiple of the scale; each its own noise, which does not hang on its place."""
    from compress.data.degradations import degrade_both
    from compress.data.pictures import read_rgb
    from compress.data.sets import pixels_sha256

    scale = task_scale(task)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            picture = read_rgb(path)
        except InputError as error:
            yield LeftOut(name, str(error), True)
            continue
        height, width = (n // scale * scale for n in picture.shape[:2])
        if min(height, width) < MIN_SIDE:
            yield LeftOut(name, f"{path}: {width} x {height} px, LPIPS needs {MIN_SIDE} px a side", False)
            continue
        clean = picture[:height, :width].copy()
        degraded, small = degrade_both(clean, task_degradation(task), int(pixels_sha256(clean)[:16], 16))
        yield name, Pixels(degraded, clean, degraded if scale == 1 else small)
