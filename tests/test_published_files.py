"""A file that does not say what it is for gets its settings from options; artifacts of ours say so themselves."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from compress.artifacts.about import KEYS
from compress.artifacts.runtime.open import open_runner
from compress.cli.commands import app
from compress.cli.options import TaskName
from compress.elir.model import Elir, ElirConfig
from compress.errors import InputError
from compress.recipe.task import TASKS
from compress.restore.open import Settings, open_restorer


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture()
def published(tmp_path: Path) -> Path:
    """A file as others publish it: it says nothing of itself."""
    torch.manual_seed(0)
    torch.save(dict(Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1)).state_dict()), tmp_path / "own.pth")
    (tmp_path / "in").mkdir()
    for i in range(2):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / f"in/{i}.png")
    return tmp_path / "own.pth"


STEPS = ("--k-steps", 1, "--sigma-s", 0.1)


def test_a_published_file_restores(published: Path) -> None:
    words = ["restore", published, published.parent / "in/0.png", "-o", published.parent / "out.png"]
    assert "(--k-steps, --sigma-s" in run(*words).stderr
    assert "give task (--task: sr_x2, " in run(*words, *STEPS).stderr
    done = run(*words, *STEPS, "--task", "sr_x2")
    assert done.exit_code == 0, done.stderr
    with Image.open(published.parent / "out.png") as picture:
        assert picture.size == (128, 128)
    (published.parent / "out.png").unlink()
    assert run(*words, *STEPS, "--scale", 1).exit_code == 0
    with Image.open(published.parent / "out.png") as picture:
        assert picture.size == (64, 64)


def test_a_published_file_is_evaluated(published: Path) -> None:
    words = ["evaluate", published, "--data", published.parent / "in", "--json"]
    assert "(--k-steps, --sigma-s" in run(*words).stderr
    assert "give task (--task: sr_x2, " in run(*words, *STEPS).stderr
    done = run(*words, *STEPS, "--task", "denoise", "--shards", 2)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["task"] == "denoise"


@pytest.mark.parametrize("command", ["card", "profile"])
def test_these_take_what_they_ask_for(command: str, published: Path) -> None:
    more = ("--task", "denoise", "--data", published.parent / "in") if command == "card" else ("--size", 32)
    assert "(--k-steps, --sigma-s" in run(command, published, *more).stderr
    done = run(command, published, *more, *STEPS)
    assert done.exit_code == 0, done.stderr


def test_every_task_can_be_named() -> None:
    assert [name.value for name in TaskName] == list(TASKS)


@pytest.mark.parametrize("entry", ["int8/openvino/model.xml", "fp32/openvino/model.xml", "int8/onnx/model.onnx"])
def test_a_lone_artifact_says_what_it_is_for(entry: str, finished: Any, tmp_path: Path) -> None:
    for path in (finished.folder / entry).parent.glob(f"{Path(entry).stem}.*"):
        shutil.copy(path, tmp_path)
    alone = tmp_path / Path(entry).name
    format_: Any = "onnx" if alone.suffix == ".onnx" else "openvino"
    about = open_runner(alone, format_, 1).about
    known = {"task": "sr_x4", "scale": "4", "noise": "input", "k_steps": "1", "sigma_s": "0.1"}
    assert set(about) == set(KEYS) - {"io", "stage"} and about.items() >= known.items()
    assert about["licence"] == "not recorded in the checkpoint" and len(about["recipe"]) == 64
    assert open_restorer(str(alone), Settings()).scale == 4
    with pytest.raises(
        InputError, match=r"says of itself that it is for sr_x4, not denoise: leave task out \(--task\)"
    ):
        open_restorer(str(alone), Settings(task="denoise"))
