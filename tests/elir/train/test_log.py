"""The logs of a run, read back: metrics.jsonl, the event file by TensorBoard's own reader, the pictures."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from compress.elir.train.log import GRIDS, LOG_EVERY, TrainingLog, in_words
from compress.elir.train.loop import learning_rate
from compress.errors import InputError
from compress.progress import Progress
from compress.recipe.train import TrainRecipe

SCORES = {"psnr_db": 25.0, "lpips": 0.14, "color_shift": 0.5}
SCORES |= {f"input_{name}": 2 * value for name, value in SCORES.items()}


@pytest.fixture()
def recipe() -> TrainRecipe:
    stages = [{"space": "latents", "steps": 100}, {"space": "pixels", "steps": 60, "lr": 1e-3, "warmup": 0}]
    return TrainRecipe.model_validate({"version": 1, "name": "x", "data": {"train": ["x"]}, "stages": stages})


def grid() -> np.ndarray:
    return np.arange(32 * 48 * 3, dtype=np.uint8).reshape(32, 48, 3)


def start(folder: Path, recipe: TrainRecipe, fresh: bool = False) -> TrainingLog:
    return TrainingLog(folder, recipe, Progress("silent"), fresh=fresh, grid=grid)


def steps(log: TrainingLog, stage: int, first: int, last: int, of: int, **terms: float) -> None:
    for step in range(first, last + 1):
        log({"stage": stage, "step": step, "of": of, **(terms or {"mmse": float(step), "lpips": 2.0})})


def validated(log: TrainingLog, stage: int, step: int) -> None:
    log({"stage": stage, "step": step, "validation": SCORES})


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def read_events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in read_events(folder).Scalars(tag)]


def test_metrics_hold_means_rate_and_time(tmp_path: Path, recipe: TrainRecipe) -> None:
    with start(tmp_path, recipe) as log:
        steps(log, 0, 1, 100, of=100)
        steps(log, 1, 1, 60, of=60)
    kept = lines(tmp_path)
    assert [(line["stage"], line["step"]) for line in kept] == [(0, 50), (0, 100), (1, 50), (1, 60)]
    assert kept[0]["mmse"] == sum(range(1, LOG_EVERY + 1)) / LOG_EVERY
    assert [line["lr"] for line in kept] == [
        pytest.approx(learning_rate(recipe.stages[stage], step), rel=1e-5)
        for stage, step in ((0, 49), (0, 99), (1, 49), (1, 59))
    ]
    assert all(line["seconds_a_step"] >= 0 for line in kept)


def test_a_validation_is_no_part_of_a_step(
    tmp_path: Path, recipe: TrainRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("compress.elir.train.log.time.monotonic", lambda: now[0])
    with start(tmp_path, recipe) as log:
        for step in range(1, 101):
            now[0] += 0.5
            steps(log, 0, step, step, of=100)
            if step == 70:
                now[0] += 1000
                validated(log, 0, step)
    assert [line["seconds_a_step"] for line in lines(tmp_path) if "mmse" in line] == pytest.approx(
        [0.5, 0.5], abs=0.011
    )


def test_event_file_holds_the_same_over_all_stages(tmp_path: Path, recipe: TrainRecipe) -> None:
    with start(tmp_path, recipe) as log:
        steps(log, 0, 1, 100, of=100)
        steps(log, 1, 1, 50, of=60)
        validated(log, 1, 50)
    assert set(read_events(tmp_path).Tags()["scalars"]) == {
        *("loss/mmse", "loss/lpips", "lr", "seconds_a_step"),
        *(f"validation/{name}" for name in SCORES),
    }
    kept = [line for line in lines(tmp_path) if "validation" not in line]
    for tag, name in (("loss/mmse", "mmse"), ("lr", "lr"), ("seconds_a_step", "seconds_a_step")):
        assert points(tmp_path, tag) == list(zip((50, 100, 150), (line[name] for line in kept), strict=True))
    assert points(tmp_path, "validation/input_lpips") == [(150, 0.28)]


def test_grid_of_each_validation_as_file_and_event(tmp_path: Path, recipe: TrainRecipe) -> None:
    with start(tmp_path, recipe) as log:
        steps(log, 0, 1, 2, of=100)
        validated(log, 0, 2)
        validated(log, 1, 3)
        log.end(lambda: SCORES)
    assert [path.name for path in sorted((tmp_path / "samples").iterdir())] == [
        *("step_000002.png", "step_000103.png", "step_000160.png")
    ]
    shown = read_events(tmp_path).Images("samples")
    assert [event.step for event in shown] == [2, 103, 160]
    assert np.array_equal(Image.open(tmp_path / "samples" / "step_000103.png"), grid())
    assert np.array_equal(Image.open(io.BytesIO(shown[1].encoded_image_string)), grid())


def test_the_end_is_not_shown_twice(tmp_path: Path, recipe: TrainRecipe) -> None:
    with start(tmp_path, recipe) as log:
        validated(log, 1, 60)
        log.end(lambda: SCORES)
    assert points(tmp_path, "validation/lpips") == [(160, 0.14)]


def test_a_bounded_number_of_grids_is_kept(tmp_path: Path, recipe: TrainRecipe) -> None:
    with start(tmp_path, recipe) as log:
        for step in range(1, GRIDS + 3):
            validated(log, 0, step)
    kept = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert (len(kept), kept[0], kept[-1]) == (GRIDS, "step_000003.png", f"step_{GRIDS + 2:06d}.png")


def test_resumed_run_goes_on_and_what_is_done_again_counts_once(tmp_path: Path, recipe: TrainRecipe) -> None:
    with start(tmp_path, recipe) as log:
        steps(log, 0, 1, 100, of=100, mmse=1.0)
        validated(log, 0, 100)
    with start(tmp_path, recipe) as log:
        log({"stage": 0, "step": 60, "resumed": True})
        steps(log, 0, 61, 100, of=100, mmse=2.0)
    assert points(tmp_path, "loss/mmse") == [(50, 1.0), (100, 2.0)]
    assert read_events(tmp_path).Images("samples") == []
    assert [line["step"] for line in lines(tmp_path)] == [50, 100, 100, 60, 100]
    assert (tmp_path / "samples" / "step_000100.png").exists()


def test_run_without_a_checkpoint_shows_only_what_it_does_itself(tmp_path: Path, recipe: TrainRecipe) -> None:
    for value in (1.0, 2.0):
        with start(tmp_path, recipe) as log:
            steps(log, 0, 1, 50, of=100, mmse=value)
    assert points(tmp_path, "loss/mmse") == [(50, 2.0)]


def test_fresh_run_removes_the_logs(tmp_path: Path, recipe: TrainRecipe) -> None:
    with start(tmp_path, recipe) as log:
        steps(log, 0, 1, 50, of=100)
        validated(log, 0, 50)
    (tmp_path / "samples" / "mine.png").write_bytes(b"")
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    start(tmp_path, recipe, fresh=True)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"mine.png", "checkpoint.pt"}


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples"])
def test_log_that_cannot_be_written(tmp_path: Path, recipe: TrainRecipe, name: str) -> None:
    blocked = tmp_path / name
    blocked.mkdir() if name == "metrics.jsonl" else blocked.write_text("")
    with start(tmp_path, recipe) as log, pytest.raises(InputError, match=rf"{name}.*: cannot be written \("):
        validated(log, 0, 1)


def test_event_file_that_cannot_be_written(tmp_path: Path, recipe: TrainRecipe) -> None:
    (tmp_path / "run").write_text("")
    text = r"run: cannot be written \(File exists\): choose another folder"
    with start(tmp_path / "run", recipe) as log, pytest.raises(InputError, match=text):
        log._begin(0)


def test_in_words() -> None:
    assert in_words(SCORES) == (
        "PSNR 25.00 dB (input 50.00), LPIPS 0.1400 (input 0.2800), colour shift 0.50/255 (input 1.00)"
    )
