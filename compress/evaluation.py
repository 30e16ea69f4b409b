"""Quality of a checkpoint, an artifact or a bundle on pictures, beside its input's."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from compress import library
from compress.errors import InputError
from compress.files import whole_file
from compress.measure.quality import QualityScore, mean_score, score
from compress.progress import Progress
from compress.schema import TASKS, Task, task_border, task_degradation, task_input, task_scale

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from compress.measure.iqa import IqaMeasure

    Restore = Callable[[np.ndarray], np.ndarray]
    Make = Callable[[np.ndarray, np.ndarray], np.ndarray]
    Labelled = tuple[str, np.ndarray, np.ndarray]

AUTOENCODER = "tae16"
MIN_SIDE = 32  # px, of LPIPS
COLUMNS = {"psnr_db": "PSNR dB", "psnr_y_db": "PSNR-Y dB", "ssim": "SSIM", "lpips": "LPIPS", "color_shift": "colour"}
DIGITS = {"psnr_db": 2, "psnr_y_db": 2, "ssim": 4, "lpips": 4, "color_shift": 2}


@dataclass(frozen=True)
class Figures(QualityScore):
    """All figures of pictures by one maker. ``others``: ``niqe`` and what was asked for, None where there is none."""

    others: dict[str, float | None]

    def values(self) -> dict[str, float | None]:
        """Every measure by its key, in the order of tables."""
        return {name: getattr(self, name) for name in COLUMNS} | self.others


@dataclass(frozen=True)
class SetResult:
    """Scores on one set, by who made the pictures: ``model``, ``input`` and, where asked for, ``autoencoder``.

    ``input`` is the degraded picture as the model gets it; for super-resolution, bicubic enlargement. ``pictures``
    holds each picture's own scores, by the same names. ``notes``: which figures pictures lack, and why.
    """

    dataset: str
    whole: bool
    """Whole pictures, not crops."""
    scores: dict[str, Figures]
    pictures: list[tuple[str, dict[str, Figures]]]
    notes: list[str]

    @property
    def lpips_below_input(self) -> float:
        """By which share the model's LPIPS lies below its input's."""
        return 1 - self.scores["model"].lpips / self.scores["input"].lpips

    @property
    def psnr_against_input_db(self) -> float:
        """Model's PSNR less its input's, in dB."""
        return self.scores["model"].psnr_db - self.scores["input"].psnr_db


@dataclass(frozen=True)
class Evaluation:
    """What ``compress evaluate`` found."""

    source: str
    task: Task
    seed: int
    results: list[SetResult]

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        results = [
            {
                "dataset": r.dataset,
                "whole": r.whole,
                **{self.called(who): s.values() | {"n": s.n} for who, s in r.scores.items()},
                "notes": r.notes,
            }
            for r in self.results
        ]
        return {"source": self.source, "task": self.task, "seed": self.seed, "results": results}

    def called(self, who: str) -> str:
        """``input`` by its name in the task (bicubic, noisy input, ...), the others as they are."""
        return task_input(self.task) if who == "input" else who

    def write_csv(self, path: Path) -> None:
        """A line a picture and maker: dataset, picture, by, and every measure, empty where a picture has none.

        Raises InputError where it cannot be written.
        """
        rows = [
            [result.dataset, name, self.called(who), *given.values().values()]
            for result in self.results
            for name, scores in result.pictures
            for who, given in scores.items()
        ]
        with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["dataset", "picture", "by", *self.measures()], *rows])

    def measures(self) -> list[str]:
        """The key of every measure."""
        return list(self.results[0].scores["model"].values())

    def table(self) -> "Table":
        """For a terminal."""
        from rich.table import Table

        notes = "\n".join(f"{r.dataset}: {note}" for r in self.results for note in r.notes)
        table = Table(title=f"{self.source} ({self.task})", caption=notes or None, caption_justify="left")
        measures = [(COLUMNS | {"niqe": "NIQE"}).get(key, key) for key in self.measures()]
        for name in ("set", "n", "", *measures):
            table.add_column(name, justify="right" if name in ("n", *measures) else "left")
        for result in self.results:
            for who, given in result.scores.items():
                others = ("-" if value is None else f"{value:.4g}" for value in given.others.values())
                table.add_row(result.dataset, str(given.n), self.called(who), *cells(given), *others)
        return table


def cells(given: QualityScore) -> list[str]:
    """The figures of one score, in the order of COLUMNS."""
    return [f"{getattr(given, name):.{DIGITS[name]}f}" for name in COLUMNS]


def evaluate(
    source: str,
    sets: Sequence[str],
    seed: int,
    progress: Progress,
    ceiling: bool = False,
    metrics: Sequence[str] = (),
) -> Evaluation:
    """Measure ``source`` (bundled name, checkpoint, artifact, bundle) on ``sets``: names, set files, or folders.

    A folder's pictures are measured whole, cut to a multiple of the scale; a set's, as it crops them. ``ceiling``
    adds the bundled autoencoder's own reconstruction of the clean pictures; ``metrics`` are pyiqa's, by its names.
    Outputs are rounded to 8 bits first. Raises InputError (no pictures; too small), what opening the source raises,
    and for ``metrics`` what ``compress.measure.iqa.open_measures`` raises.
    """
    from compress.restorer import Settings, open_restorer

    if not sets:
        raise InputError("no pictures to measure on: give --data with a set or a folder")
    # Degraded pictures stand on the output grid already: scale 1.
    restorer = open_restorer(source, Settings(seed=seed, scale=1))
    task = restorer.task
    if task is None:
        raise InputError(
            f"{source}: its task is not known, it must be one of {', '.join(TASKS)}: give a model that tells"
        )
    measures = _asked_for(metrics)
    makers: dict[str, Make] = {
        "model": lambda degraded, clean: restorer.restore(degraded, lambda: None),
        "input": lambda degraded, clean: degraded,
    }
    if ceiling:
        reconstruct = _autoencoder()
        makers["autoencoder"] = lambda degraded, clean: reconstruct(clean)
    return Evaluation(source, task, seed, [_on_set(name, task, makers, measures, progress) for name in sets])


def _asked_for(metrics: Sequence[str]) -> "list[IqaMeasure]":
    if not metrics:
        return []
    from compress.measure.iqa import open_measures

    return open_measures(metrics)


def _on_set(
    name: str, task: Task, makers: "dict[str, Make]", measures: "list[IqaMeasure]", progress: Progress
) -> SetResult:
    dataset, whole, count, pictures = _pictures(name, task)
    border = task_border(task)
    each: list[tuple[str, dict[str, Figures]]] = []
    with ExitStack() as stack:
        kept = _Kept(Path(stack.enter_context(TemporaryDirectory())), [m for m in measures if m.of_sets])
        with progress.stage(f"measure on {dataset}", total=count) as stage:
            for label, degraded, clean in pictures:
                outputs = {maker: make(degraded, clean) for maker, make in makers.items()}
                each.append((label, {m: _figures(output, clean, border, measures) for m, output in outputs.items()}))
                kept.add(len(each), outputs | {"clean": clean})
                stage.advance()
        means = {m: _mean([figures[m] for _, figures in each], kept.values(m)) for m in makers}
    notes = _notes(each, border, {m.key for m in measures if m.of_sets})
    for note in notes:
        progress.say(f"{dataset}: {note}")
    return SetResult(dataset, whole, means, each, notes)


def _figures(output: "np.ndarray", clean: "np.ndarray", border: int, measures: "list[IqaMeasure]") -> Figures:
    from compress.measure.niqe import niqe

    others = {m.key: None if m.of_sets else m.of_picture(output, clean) for m in measures}
    return Figures(**asdict(score([output], [clean], border)), others={"niqe": niqe(output, border)} | others)


def _mean(each: Sequence[Figures], of_set: dict[str, float | None]) -> Figures:
    """Means of pictures' figures, over those that have one; ``of_set`` are the whole set's."""
    present = {key: [v for f in each if (v := f.others[key]) is not None] for key in each[0].others}
    others = {key: fmean(values) if values else None for key, values in present.items()}
    return Figures(**asdict(mean_score(each)), others=others | of_set)


def _notes(each: Sequence[tuple[str, dict[str, Figures]]], border: int, of_sets: set[str]) -> list[str]:
    """One line for each measure that pictures lack."""
    from compress.measure.niqe import MIN_SIDE

    why = {"niqe": f"it needs {MIN_SIDE} px a side inside a border of {border} px, and texture"}
    notes = []
    for key in each[0][1]["model"].others.keys() - of_sets:
        lacking = [label for label, figures in each if any(f.others[key] is None for f in figures.values())]
        if lacking:
            named = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
            reason = why.get(key, "its value is not finite")
            notes.append(f"{key} is missing for {len(lacking)} of {len(each)} pictures ({named}): {reason}")
    return notes


@dataclass(frozen=True)
class _Kept:
    """Pictures as files, a folder a maker, for the measures that compare folders."""

    folder: Path
    measures: "list[IqaMeasure]"

    def add(self, number: int, pictures: "dict[str, np.ndarray]") -> None:
        from PIL import Image

        for maker, picture in pictures.items() if self.measures else ():
            (self.folder / maker).mkdir(exist_ok=True)
            Image.fromarray(picture).save(self.folder / maker / f"{number:06}.png", compress_level=1)

    def values(self, maker: str) -> dict[str, float | None]:
        return {m.key: m.of_folders(self.folder / maker, self.folder / "clean") for m in self.measures}


def _autoencoder() -> "Restore":
    """Clean picture (H, W, 3) uint8 -> what the bundled autoencoder makes of it."""
    import torch

    from compress.elir.checkpoint import load_autoencoder
    from compress.elir.fresh import teacher_model
    from compress.elir.restore import restore

    model = teacher_model(load_autoencoder(library.find("weights", AUTOENCODER)))

    def run(lq: "np.ndarray", noise: "np.ndarray") -> "np.ndarray":
        with torch.inference_mode():
            return model.dec(model.enc(torch.from_numpy(lq))).numpy()

    return lambda clean: restore(clean, run)


def _pictures(name: str, task: Task) -> "tuple[str, bool, int, Iterable[Labelled]]":
    """(set's name, whole pictures or crops, how many, (file's name, degraded, clean) of each)."""
    from compress.data.pictures import find_pictures
    from compress.data.sets import load_set

    folder = library.find("calibration", name)
    if not folder.is_dir():
        pictures = load_set(name, task)
        return pictures.name, False, len(pictures), ((item.name, item.degraded, item.clean) for item in pictures)
    paths = find_pictures(folder)
    if not paths:
        raise InputError(f"{folder}: no pictures in this folder: check the path")
    return folder.resolve().name, True, len(paths), _whole(paths, task)


def _whole(paths: Sequence[Path], task: Task) -> "Iterator[Labelled]":
    """Whole pictures, cut to a multiple of the scale; each its own noise, which does not hang on its place."""
    from compress.data.degradations import degrade
    from compress.data.pictures import read_rgb
    from compress.data.sets import pixels_sha256

    scale = task_scale(task)
    for path in paths:
        picture = read_rgb(path)
        height, width = (n // scale * scale for n in picture.shape[:2])
        if min(height, width) < MIN_SIDE:
            raise InputError(f"{path}: {width} x {height} px, LPIPS needs {MIN_SIDE} px a side: leave the picture out")
        clean = picture[:height, :width].copy()
        yield path.name, degrade(clean, task_degradation(task), int(pixels_sha256(clean)[:16], 16)), clean
