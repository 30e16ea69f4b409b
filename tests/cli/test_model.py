"""Checkpoints on the command line: what a file does not record can be given to every command that asks for it."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.elir.checkpoint import load_checkpoint, save_checkpoint
from compress.elir.convert import convert
from compress.elir.model import Elir

FACTS = {"--task": "sr_x2", "--scale": "2", "--k-steps": "1", "--sigma-s": "0.1"}


@pytest.fixture()
def published(tiny_elir: Elir, tmp_path: Path, photo: np.ndarray) -> Path:
    """A folder with ``mine.pth``, which records nothing, and ``pictures/``."""
    save_checkpoint(tiny_elir, tmp_path / "own.safetensors", {})
    convert(tmp_path / "own.safetensors", tmp_path / "mine.pth")
    (tmp_path / "pictures").mkdir()
    Image.fromarray(photo[:64, :64]).save(tmp_path / "pictures/a.png")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "restore mine.pth pictures/a.png -o out.png",
        "evaluate mine.pth --data ./pictures",
        "card mine.pth --data ./pictures",
        "profile mine.pth --size 64",
        "convert mine.pth new.safetensors",
    ],
)
def test_what_an_error_asks_for_can_be_given(command: str, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doing what one message says ends in a command that runs."""
    monkeypatch.chdir(published)
    words = command.split()
    asked = CliRunner().invoke(app, words)
    options = [option for option in dict.fromkeys(re.findall(r"--[a-z-]+", asked.stderr)) if option != "--scale"]
    assert asked.exit_code == 2 and {"--k-steps", "--sigma-s"} <= set(options), asked.stderr
    done = CliRunner().invoke(app, [*words, *(word for option in options for word in (option, FACTS[option]))])
    assert done.exit_code == 0, done.stderr


def test_every_command_on_a_checkpoint_takes_what_it_may_not_record() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in ("restore", "evaluate", "card", "profile", "convert"):
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {"--k-steps", "--sigma-s"} <= options, name
        assert "--task" in options or name == "profile", name


def test_a_converted_checkpoint_carries_its_task(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(published)
    words = ["convert", "mine.pth", "new.safetensors", "--k-steps", "1", "--sigma-s", "0.1"]
    untold = CliRunner().invoke(app, words)
    assert untold.stderr == "new.safetensors: does not record what it is for: convert it with its task (--task)\n"
    again = CliRunner().invoke(app, [*words, "--task", "sr_x2"])
    assert again.exit_code == 2
    assert again.stderr == "new.safetensors: exists: name another file, or replace it (--overwrite)\n"
    done = CliRunner().invoke(app, [*words, "--task", "sr_x2", "--overwrite"])
    assert (done.stdout, done.stderr) == ("new.safetensors\n", "")
    assert load_checkpoint(published / "new.safetensors").metadata["task"] == "sr_x2"
    restored = CliRunner().invoke(app, ["restore", "new.safetensors", "pictures/a.png", "-o", "out.png"])
    assert restored.exit_code == 0
    with Image.open("out.png") as picture:
        assert picture.size == (128, 128)


def test_a_built_in_name_is_a_checkpoint() -> None:
    assert load_checkpoint("elir_sr_x4").metadata["task"] == "sr_x4"
