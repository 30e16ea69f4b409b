"""A training's checkpoint: whose it is, what differs from another's, and that the old one outlives a full disk."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.elir.train.state import differences, read_state, recipe_hash, write_state
from compress.errors import InputError, VerificationError
from compress.recipe.train import DistillRun, TrainRecipe

STATE: dict[str, Any] = {"model": {"w": torch.ones(3)}, "ema": {}, "optimizer": None, "stage_index": 0, "step": 2}
STAGE: dict[str, Any] = {"space": "latents", "steps": 4, "lr": 3e-4}
ADVICE = "name another folder, or start again (resume=False)"


def recipe(*stages: dict[str, Any], **settings: Any) -> TrainRecipe:
    data = {"version": 1, "name": "t", "data": {"train": ["x"]}, "stages": stages or [STAGE]}
    return TrainRecipe.model_validate(data | settings)


@pytest.fixture()
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.pt"


def test_what_was_written_is_read(path: Path) -> None:
    write_state(path, recipe(), STATE)
    state = read_state(path, recipe())
    assert torch.equal(state["model"]["w"], torch.ones(3))
    assert (state["step"], state["recipe_hash"]) == (2, recipe_hash(recipe()))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (recipe({**STAGE, "lr": 2e-4}), "stages[0].lr was 0.0003, is 0.0002"),
        (recipe({**STAGE, "steps": 8, "bf16": True}), "stages[0].steps was 4, is 8; stages[0].bf16 was False, is True"),
        (recipe({**STAGE, "modules": ["mmse"]}), "stages[0].modules was [mmse, fmir], is [mmse]"),
        (recipe(STAGE, STAGE), "stages had 1 items, has 2"),
        (recipe(model={"weights": "w.pth"}), "model.weights was none, is w.pth"),
        (recipe(ema=0.9, name="u"), "name was t, is u; ema was 0.999, is 0.9"),
    ],
)
def test_checkpoint_of_another_recipe_says_what_differs(path: Path, other: TrainRecipe, what: str) -> None:
    write_state(path, recipe(), STATE)
    with pytest.raises(InputError) as caught:
        read_state(path, other)
    assert str(caught.value) == f"{path}: belongs to another recipe ({what}): {ADVICE}"


def test_a_key_that_a_distillation_has_got_since_is_no_difference(path: Path) -> None:
    run = DistillRun.model_validate({"stages": [{"steps": 4}], "start": "s", "data": ["x"]})
    stored = run.model_dump(mode="json")
    del stored["stages"][0]["schedule"]
    torch.save({**STATE, "recipe_hash": "of that time", "recipe": stored}, path)
    assert read_state(path, run)["step"] == 2


def test_many_differences_are_counted(path: Path) -> None:
    write_state(path, recipe(), STATE)
    changed = {"batch": 1, "crop": 64, "cached_crops": 1, "lr": 0.1, "warmup": 1, "bf16": True, "schedule": "constant"}
    with pytest.raises(InputError, match=r"\(stages\[0\]\.batch was 16, is 1; .*; and 2 more\)"):
        read_state(path, recipe({**STAGE, **changed}))


def test_key_that_the_schema_has_got_since_is_no_difference(path: Path) -> None:
    stored = recipe().model_dump(mode="json")
    del stored["stages"][0]["schedule"]
    torch.save({**STATE, "recipe_hash": "of that time", "recipe": stored}, path)
    assert read_state(path, recipe())["step"] == 2
    with pytest.raises(InputError, match=r"\(stages\[0\]\.schedule was cosine, is constant\)"):
        read_state(path, recipe({**STAGE, "schedule": "constant"}))


def test_checkpoint_without_its_recipe_goes_by_the_hash(path: Path) -> None:
    torch.save({**STATE, "recipe_hash": recipe_hash(recipe())}, path)
    assert read_state(path, recipe())["step"] == 2
    with pytest.raises(InputError, match=r"checkpoint\.pt: belongs to another recipe: name another folder"):
        read_state(path, recipe(ema=0.9))


def test_damaged_checkpoint_is_refused(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(VerificationError, match=r"damaged training checkpoint: start again"):
        read_state(path, recipe())
    torch.save({"model": {}}, path)
    with pytest.raises(VerificationError, match="not a training checkpoint: name another folder"):
        read_state(path, recipe())


@pytest.mark.parametrize(
    "spoilt",
    [{"stage_index": v} for v in (-1, 2, 10**20, 1.0, True, "0", None, torch.ones(2))]
    + [{"step": v} for v in (-1, 5, 10**20, float("nan"), "x", [], torch.ones(()))]
    + [{"stage_index": 1, "step": 1}],
)
def test_a_count_that_no_run_reaches_is_damage(path: Path, spoilt: dict[str, Any]) -> None:
    write_state(path, recipe(), {**STATE, **spoilt})
    with pytest.raises(VerificationError, match=r"damaged training checkpoint: start again"):
        read_state(path, recipe())


def test_a_recipe_of_any_shape_belongs_to_another(path: Path) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    for hash_ in ("x", torch.ones(2), None, [1]):
        for stored in (torch.ones(2), {"stages": deep}, {1: {2: b"x"}}, "x" * 9, [1], 10**99, {"name": float("nan")}):
            torch.save({**STATE, "recipe_hash": hash_, "recipe": stored}, path)
            with pytest.raises(InputError, match="belongs to another recipe"):
                read_state(path, recipe())


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(VerificationError, match="damaged training checkpoint"):
        read_state(path, recipe())


def test_equal_values_have_no_difference() -> None:
    data = recipe().model_dump(mode="json")
    assert list(differences(data, data)) == []


# The kernel refuses what goes past the limit, as it does on a full disk: a true OSError, by another number.
FULL = """
import resource, sys
from pathlib import Path
import torch
from compress.elir.train.state import write_state
from compress.cli.guard import guard
from compress.recipe.train import TrainRecipe
path = Path(sys.argv[1])
recipe = TrainRecipe.model_validate_json(sys.argv[2])
state = {"model": {"w": torch.zeros(50_000)}, "ema": {}, "optimizer": None}
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with guard(lambda: True):
        write_state(path, recipe, state)
except BaseException as error:
    sys.exit(error.exit_code)
"""


def test_full_disk_leaves_the_old_checkpoint_whole(path: Path) -> None:
    write_state(path, recipe(), STATE)
    before = path.read_bytes()
    given = [sys.executable, "-c", FULL, str(path), recipe().model_dump_json()]
    root = str(Path(__file__).parents[3])
    done = subprocess.run(given, capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stderr) == (
        2,
        f"{path}: cannot be written (File too large): raise ulimit -f, or choose another disk\n",
    )
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
