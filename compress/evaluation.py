"""Quality of a checkpoint, an artifact or a bundle on pictures, beside its input's."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
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

    Restore = Callable[[np.ndarray], np.ndarray]
    Labelled = tuple[str, np.ndarray, np.ndarray]

AUTOENCODER = "tae16"
MIN_SIDE = 32  # px, of LPIPS
COLUMNS = {"psnr_db": "PSNR dB", "psnr_y_db": "PSNR-Y dB", "ssim": "SSIM", "lpips": "LPIPS", "color_shift": "colour"}
DIGITS = {"psnr_db": 2, "psnr_y_db": 2, "ssim": 4, "lpips": 4, "color_shift": 2}


@dataclass(frozen=True)
class SetResult:
    """Scores on one set, by who made the pictures: ``model``, ``input`` and, where asked for, ``autoencoder``.

    ``input`` is the degraded picture as the model gets it; for super-resolution, bicubic enlargement. ``pictures``
    holds each picture's own scores, by the same names.
    """

    dataset: str
    whole: bool
    """Whole pictures, not crops."""
    scores: dict[str, QualityScore]
    pictures: list[tuple[str, dict[str, QualityScore]]]

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
            {"dataset": r.dataset, "whole": r.whole, **{self.called(who): asdict(s) for who, s in r.scores.items()}}
            for r in self.results
        ]
        return {"source": self.source, "task": self.task, "seed": self.seed, "results": results}

    def called(self, who: str) -> str:
        """``input`` by its name in the task (bicubic, noisy input, ...), the others as they are."""
        return task_input(self.task) if who == "input" else who

    def write_csv(self, path: Path) -> None:
        """A line a picture and maker: dataset, picture, by, and every measure. Raises InputError where it cannot be."""
        rows = [
            [result.dataset, name, self.called(who), *(getattr(given, measure) for measure in COLUMNS)]
            for result in self.results
            for name, scores in result.pictures
            for who, given in scores.items()
        ]
        with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["dataset", "picture", "by", *COLUMNS], *rows])

    def table(self) -> "Table":
        """For a terminal."""
        from rich.table import Table

        table = Table(title=f"{self.source} ({self.task})")
        for name in ("set", "n", "", *COLUMNS.values()):
            table.add_column(name, justify="right" if name in ("n", *COLUMNS.values()) else "left")
        for result in self.results:
            for who, given in result.scores.items():
                table.add_row(result.dataset, str(given.n), self.called(who), *cells(given))
        return table


def cells(given: QualityScore) -> list[str]:
    """The figures of one score, in the order of COLUMNS."""
    return [f"{getattr(given, name):.{DIGITS[name]}f}" for name in COLUMNS]


def evaluate(source: str, sets: Sequence[str], seed: int, progress: Progress, ceiling: bool = False) -> Evaluation:
    """Measure ``source`` (bundled name, checkpoint, artifact, bundle) on ``sets``: names, set files, or folders.

    A folder's pictures are measured whole, cut to a multiple of the scale; a set's, as it crops them. ``ceiling``
    adds the bundled autoencoder's own reconstruction of the clean pictures. Outputs are rounded to 8 bits first.
    Raises InputError (no pictures; too small) and what opening the source raises.
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
    who: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "model": lambda degraded, clean: restorer.restore(degraded, lambda: None),
        "input": lambda degraded, clean: degraded,
    }
    if ceiling:
        reconstruct = _autoencoder()
        who["autoencoder"] = lambda degraded, clean: reconstruct(clean)
    results = []
    for name in sets:
        dataset, whole, count, pictures = _pictures(name, task)
        with progress.stage(f"measure on {dataset}", total=count) as stage:
            each: list[tuple[str, dict[str, QualityScore]]] = []
            for label, degraded, clean in pictures:
                scores = {
                    maker: score([make(degraded, clean)], [clean], border=task_border(task))
                    for maker, make in who.items()
                }
                each.append((label, scores))
                stage.advance()
        means = {maker: mean_score([scores[maker] for _, scores in each]) for maker in who}
        results.append(SetResult(dataset, whole, means, each))
    return Evaluation(source, task, seed, results)


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
