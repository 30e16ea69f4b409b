"""Quality of a checkpoint, an artifact or a bundle on pictures, beside its input's."""

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from compress.data.names import set_names
from compress.data.sets import NO_TRUTH
from compress.errors import InputError
from compress.files import whole_file
from compress.pipeline.workers import Workers
from compress.pipeline.workers import each as run_each
from compress.pipeline.workers.in_process import InProcess
from compress.progress import Progress
from compress.recipe.task import Task, task_input
from compress.restore.figures import (
    COLUMNS,
    Figures,
    Judge,
    JudgeOptions,
    LabelledFigures,
    LeftOut,
    PictureFolders,
    PictureList,
    ShardJob,
    mean_figures,
    missing_notes,
    picture_list,
    shard,
)

if TYPE_CHECKING:
    from rich.table import Table

NAMED = 3  # pictures that an error names
DIGITS = {"psnr_db": 2, "psnr_y_db": 2, "ssim": 4, "lpips": 4, "color_shift": 2}


@dataclass(frozen=True)
class SetResult:
    """Scores on one set, by who made the pictures: ``model``, ``input`` and, if asked for, ``autoencoder``.

    ``input`` is the degraded picture as the model gets it; for super-resolution, the bicubic enlargement. ``pictures``
    holds each picture's own scores, by the same names. ``notes``: which figures and pictures are missing, and why.
    """

    dataset: str
    whole: bool
    """Whole pictures, not crops."""
    scores: dict[str, Figures]
    pictures: list[tuple[str, dict[str, Figures]]]
    notes: list[str]
    left_out: list[LeftOut] = field(default_factory=list)

    def __repr__(self) -> str:
        model = self.scores["model"]
        named = {"PSNR": model.psnr_db, "LPIPS": model.lpips, **model.others}
        figures = ", ".join(f"{name} {value:.4g}" for name, value in named.items() if value is not None)
        return f"<SetResult {self.dataset}, n = {model.n}: {figures}>"

    @property
    def lpips_below_input(self) -> float | None:
        """How much lower the model's LPIPS is than its input's, as a share of the latter; None where that is 0."""
        model, given = self.scores["model"].lpips, self.scores["input"].lpips
        assert model is not None and given is not None  # a card refuses sets without truth
        return 1 - model / given if given else None

    @property
    def psnr_against_input_db(self) -> float:
        """PSNR of the model minus that of its input, in dB."""
        model, given = self.scores["model"].psnr_db, self.scores["input"].psnr_db
        assert model is not None and given is not None  # a card refuses sets without truth
        return model - given


@dataclass(frozen=True)
class Evaluation:
    """The result of ``compress evaluate``."""

    source: str
    task: Task
    seed: int
    results: list[SetResult]

    def __repr__(self) -> str:
        return f"<Evaluation of {self.source} ({self.task}): {', '.join(map(repr, self.results))}>"

    def to_json(self) -> dict[str, object]:
        """One JSON document."""
        results = [
            {
                "dataset": r.dataset,
                "whole": r.whole,
                **{self.called(who): s.values() | {"n": s.n} for who, s in r.scores.items()},
                "notes": r.notes,
                "left_out": [{"picture": left.name, "why": left.why} for left in r.left_out],
            }
            for r in self.results
        ]
        return {"source": self.source, "task": self.task, "seed": self.seed, "results": results}

    def called(self, who: str) -> str:
        """``input`` by its name in the task (bicubic, noisy input, ...), the others as they are."""
        return task_input(self.task) if who == "input" else who

    @property
    def failed(self) -> list[LeftOut]:
        """Pictures that could not be measured, other than those that are too small."""
        return [left for result in self.results for left in result.left_out if left.failed]

    def raise_failed(self) -> None:
        """Raise InputError, naming them, if pictures could not be measured. Call it after showing the figures."""
        if failed := self.failed:
            named = "; ".join(left.why for left in failed[:NAMED])
            more = f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
            raise InputError(f"{len(failed)} pictures were not measured, the figures are of the others: {named}{more}")

    def write_csv(self, path: Path) -> None:
        """One line per picture and maker: dataset, picture, by, and every measure, empty if the picture has none.

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
        """The figures for a terminal."""
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


def cells(given: Figures) -> list[str]:
    """The figures that are held against truth, in the order of COLUMNS."""
    values = ((name, getattr(given, name)) for name in COLUMNS)
    return ["-" if value is None else f"{value:.{DIGITS[name]}f}" for name, value in values]


def evaluate(
    source: str,
    sets: Sequence[str],
    options: JudgeOptions,
    progress: Progress,
    shards: int = 1,
    workers: Workers | None = None,
) -> Evaluation:
    """Measure ``source`` (bundled name, checkpoint, artifact, bundle) on ``sets``: names, set files, or folders.

    A folder's pictures are measured whole, cut to a multiple of the scale; a set's pictures as it crops them. Outputs
    are rounded to 8 bits first. ``shards``: parts of each set, measured by ``workers``; the figures are those of one
    part, to the last digit. Raises InputError (no pictures; too small; a metric that compares whole sets, in shards),
    what opening the source raises, and for metrics what ``compress.measure.iqa.open_measures`` raises.
    """
    if not sets:
        raise InputError("no pictures to measure on: give a set or a folder (--data)")
    judge = Judge.open(source, options)
    progress.remark(judge.remark)
    given = [(picture_list(s, judge.task, called), s) for s, called in zip(sets, set_names(sets), strict=True)]
    if shards > 1:
        judge.refuse_shards()
    for pictures, _ in given:
        pictures.check()  # a mistake in the last set is reported before the first one is measured
    for pictures, _ in given:
        for note in pictures.notes:
            progress.say(note)
    if shards > 1:
        import torch

        job = ShardJob(source, options, "", 0, shards, torch.get_num_threads())
        results = [
            _in_shards(pictures, judge, replace(job, name=name), workers or InProcess(), progress)
            for pictures, name in given
        ]
    else:
        results = [_on_set(pictures, judge, progress) for pictures, _ in given]
    return Evaluation(source, judge.task, options.model.seed, results)


def _on_set(pictures: PictureList, judge: Judge, progress: Progress) -> SetResult:
    each: list[LabelledFigures | LeftOut] = []
    with ExitStack() as stack:
        kept = PictureFolders(Path(stack.enter_context(TemporaryDirectory())), judge.of_sets)
        with progress.stage(f"measure on {pictures.dataset}", total=pictures.count) as stage:
            for item in judge.read(pictures.read()):
                if isinstance(item, LeftOut):
                    each.append(item)
                else:
                    labelled, outputs = item
                    each.append(labelled)
                    kept.add(len(each), outputs)
                stage.advance()
        return _result(pictures, judge, each, progress, kept)


def _in_shards(pictures: PictureList, judge: Judge, job: ShardJob, workers: Workers, progress: Progress) -> SetResult:
    shards = min(job.of, pictures.count)
    given = [{"job": replace(job, number=i, of=shards)} for i in range(shards)]
    with progress.stage(f"measure on {pictures.dataset}", total=shards) as stage:
        parts = run_each(workers, f"{pictures.dataset}, shard", shard, given, lambda outcome: stage.advance())
    # In the set's order, whoever measured them: sums in another order would end in other digits.
    each = [parts[i % shards][i // shards] for i in range(pictures.count)]
    return _result(pictures, judge, each, progress, None)


def _result(
    pictures: PictureList,
    judge: Judge,
    items: list[LabelledFigures | LeftOut],
    progress: Progress,
    kept: PictureFolders | None,
) -> SetResult:
    left = [item for item in items if isinstance(item, LeftOut)]
    each = [item for item in items if not isinstance(item, LeftOut)]
    if not each:
        raise InputError(f"{pictures.dataset}: no picture can be measured: {left[0].why}: add others")
    of_set = {maker: kept.values(maker) if kept else {} for maker in judge.makers}
    means = {m: mean_figures([figures[m] for _, figures in each], of_set[m]) for m in judge.makers}
    notes = missing_notes(each, judge.border, {m.key for m in judge.of_sets})
    notes += [NO_TRUTH] if means["model"].psnr_db is None else []
    notes += [f"left out: {item.why}" for item in left]
    for note in notes:
        progress.say(f"{pictures.dataset}: {note}")
    return SetResult(pictures.dataset, pictures.whole, means, each, notes, left)
