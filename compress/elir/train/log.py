"""What a training run tells: progress, ``metrics.jsonl``, TensorBoard's event file, pictures of every validation."""

import io
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from compress.elir.train.record import Record
from compress.errors import InputError
from compress.files import append_line, what_to_do, whole_file
from compress.progress import Progress, Stage
from compress.recipe.train import TrainRecipe

if TYPE_CHECKING:
    import numpy as np

LOG_EVERY = 50  # steps that one line of metrics.jsonl averages
GRIDS = 20  # pictures kept in samples/, the newest
Grid = Callable[[], "np.ndarray"]


def in_words(scores: Mapping[str, float]) -> str:
    """One line of a validation's figures, the input's in brackets."""
    shown = {"psnr_db": "PSNR {:.2f} dB", "lpips": "LPIPS {:.4f}", "color_shift": "colour shift {:.2f}/255"}
    return ", ".join(
        f"{text.format(scores[name])} (input {scores[f'input_{name}']:.{4 if name == 'lpips' else 2}f})"
        for name, text in shown.items()
    )


class TrainingLog:
    """What ``Training`` tells -> progress and ``folder``: a line of ``metrics.jsonl`` and points of the event file for
    every LOG_EVERY steps and every validation, and of each validation ``grid()``, (H, W, 3) uint8, in ``samples/``.

    A resumed run goes on in the same files; ``fresh`` removes them. Raises InputError where one cannot be written.
    """

    def __init__(self, folder: Path, recipe: TrainRecipe, progress: Progress, *, fresh: bool, grid: Grid) -> None:
        self.folder, self.recipe, self.progress, self.grid = folder, recipe, progress, grid
        self.path = folder / "metrics.jsonl"
        self._open = ExitStack()
        self._stages: dict[str, Stage] = {}
        self._terms: dict[str, list[float]] = defaultdict(list)
        self._since = time.monotonic()
        self._last_validated = -1
        self._stepped = self._since
        if fresh:
            for old in (self.path, *folder.glob("events.out.tfevents.*"), *self._grids()):
                old.unlink(missing_ok=True)
        self._events: Events | None = None

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *problem: Any) -> None:
        self._open.__exit__(*problem)
        if self._events:
            self._events.close()

    def __call__(self, record: Record) -> None:
        if "validation" in record:
            self.say(f"step {record['step']}: {in_words(record['validation'])}")
            self._write(record)
            self._validated(self._total(record), record["validation"])
            self._since += time.monotonic() - self._stepped
        elif "resumed" in record:
            self.say(f"resumed at stage {record['stage'] + 1}, step {record['step']}")
            self._write(record)
            self._events = self._begin(self._total(record))
        elif "encoded" in record:
            self._move(f"encode crops for stage {record['stage'] + 1}", record["of"], record["encoded"])
        else:
            self._step(record)

    def say(self, text: str) -> None:
        """One line for people."""
        self.progress.say(text)

    def end(self, validate: Callable[[], Mapping[str, float]]) -> None:
        """The result's figures and pictures, once training is over."""
        self._open.close()
        with self.progress.stage("validate the result"):
            scores = validate()
        self.say(f"end: {in_words(scores)}")
        step = sum(stage.steps for stage in self.recipe.stages)
        if step != self._last_validated:
            self._validated(step, scores)

    def _step(self, record: Record) -> None:
        terms = {name: value for name, value in record.items() if name not in ("stage", "step", "of")}
        for name, value in terms.items():
            self._terms[name].append(value)
        stage = self._move(self._name(record["stage"]), record["of"], record["step"])
        self._stepped = time.monotonic()
        if record["step"] % LOG_EVERY and record["step"] != record["of"]:
            return
        means = {name: round(fmean(values), 6) for name, values in self._terms.items()}
        steps = len(next(iter(self._terms.values())))
        rates = {"lr": self._lr(record), "seconds_a_step": round((time.monotonic() - self._since) / steps, 3)}
        self._terms.clear()
        self._since = time.monotonic()
        stage.note(", ".join(f"{name} {value:.4g}" for name, value in means.items()))
        self._write({"stage": record["stage"], "step": record["step"], **means, **rates})
        self._points(self._total(record), {f"loss/{name}": value for name, value in means.items()} | rates)

    def _lr(self, record: Record) -> float:
        """Learning rate of the step that was just taken."""
        from compress.elir.train.loop import learning_rate

        return float(f"{learning_rate(self.recipe.stages[record['stage']], record['step'] - 1):.6g}")

    def _total(self, record: Record) -> int:
        """Steps taken over all stages."""
        return sum(stage.steps for stage in self.recipe.stages[: record["stage"]]) + int(record["step"])

    def _name(self, index: int) -> str:
        return f"train stage {index + 1} of {len(self.recipe.stages)} ({self.recipe.stages[index].space})"

    def _move(self, name: str, total: int, done: int) -> Stage:
        if name not in self._stages:
            self._open.close()
            self._stages = {name: self._open.enter_context(self.progress.stage(name, total))}
            self._since = time.monotonic()
        stage = self._stages[name]
        if done > stage.done:
            # Of a resumed stage, what was done before took no time here.
            stage.advance(done - stage.done, worked=stage.done > 0)
        return stage

    # --- files -------------------------------------------------------------------------------------------------

    def _write(self, record: Record) -> None:
        append_line(self.path, json.dumps(record))

    def _validated(self, step: int, scores: Mapping[str, float]) -> None:
        self._last_validated = step
        png = _png(self.grid())
        with whole_file(self.folder / "samples" / f"step_{step:06d}.png") as part:
            part.write_bytes(png)
        for old in self._grids()[:-GRIDS]:
            old.unlink(missing_ok=True)
        self._points(step, {f"validation/{name}": value for name, value in scores.items()}, png)

    def _grids(self) -> list[Path]:
        """Oldest first, by their step: beyond 999,999 names no longer sort."""
        return sorted((self.folder / "samples").glob("step_*.png"), key=lambda path: (len(path.name), path.name))

    def _points(self, step: int, values: Mapping[str, float], png: bytes | None = None) -> None:
        self._events = self._events or self._begin(0)
        with _writable(self.folder):
            self._events.add(step, values, png)

    def _begin(self, step: int) -> "Events":
        with _writable(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            return Events(self.folder, step)


class Events:
    """An event file of TensorBoard's in ``folder``, for the steps after ``step``: later ones of an earlier file in it
    are no longer shown. Written at once, not by a thread, so that an error (OSError) reaches the run.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        # The time in the name is of whole seconds: without the suffix a run resumed at once would overwrite a file.
        self._file = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._add(step + 1, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: Mapping[str, float], png: bytes | None = None) -> None:
        """``values`` by their tags, and a picture as ``samples``."""
        from tensorboardX.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        if png is not None:
            points.append(Summary.Value(tag="samples", image=Summary.Image(encoded_image_string=png, colorspace=3)))
        self._add(step, summary=Summary(value=points))

    def _add(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write_event(Event(wall_time=time.time(), step=step, **content))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}): {what_to_do(error)}") from None


def _png(picture: "np.ndarray") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
