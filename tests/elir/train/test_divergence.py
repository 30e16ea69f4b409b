"""Runs that diverge: they stop with a line that says where, and the step that did it can be seen again."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.elir.train.divergence import read_step, replay
from compress.elir.train.loop import Training
from compress.errors import InputError, VerificationError
from compress.recipe.train import TrainRecipe

pytestmark = pytest.mark.usefixtures("one_thread")

STAGE = {"space": "latents", "steps": 4, "batch": 2, "crop": 64, "cached_crops": 3, "warmup": 0}
PIXELS = {"space": "pixels", "steps": 3, "batch": 2, "crop": 64, "warmup": 0}
POISON = 1e30  # squared, no float32 any more


def recipe(stage: dict[str, Any]) -> TrainRecipe:
    data = {"version": 1, "name": "t", "data": {"train": ["x"]}, "stages": [stage], "checkpoint_minutes": 1e-9}
    return TrainRecipe.model_validate(data)


def stopped(run: Training) -> str:
    with pytest.raises(InputError) as caught:
        run.run()
    return str(caught.value)


def poison(run: Training) -> None:
    with torch.no_grad():
        run.model.mmse.lrm[0].RDB1.conv1.block[0].bias.fill_(POISON)  # type: ignore[union-attr, operator, index]


def test_loss_that_is_no_number_says_which_term_where_and_what_to_do(start: Callable[..., Training]) -> None:
    run = start(recipe(STAGE))
    poison(run)
    assert stopped(run) == (
        "training diverged in stages[0], step 0: mmse is inf, consistency is nan: lower stages[0].lr (it is 0.0002) "
        f"and start again (resume=False); its batch, weights and seeds are in {run.folder}/diverged.safetensors"
    )
    assert all(torch.isfinite(p).all() for p in run.ema.parameters())
    assert not run.checkpoint.exists()


@pytest.mark.parametrize("stage", [STAGE, PIXELS], ids=lambda stage: stage["space"])
def test_far_too_high_a_rate_stops_and_leaves_the_last_good_checkpoint(
    start: Callable[..., Training], stage: dict[str, Any]
) -> None:
    given = recipe({**stage, "lr": 0.99, "steps": 50})
    records: list[dict[str, Any]] = []
    run = start(given, log=records.append)
    text = stopped(run)
    assert "training diverged in stages[0], step" in text and "lower stages[0].lr (it is 0.99)" in text
    step = max((r["step"] for r in records if "mmse" in r), default=0)
    assert step > 0
    state = torch.load(run.checkpoint, weights_only=True)
    assert state["step"] == step
    tensors, facts = read_step(run.diverged)
    assert (facts["stage"], facts["step"], facts["seed"]) == (0, step, 0)
    assert tensors["degraded"].shape == tensors["clean"].shape and len(tensors["clean"]) == 2
    # The weights that the last good step left: those of the checkpoint.
    assert all(torch.equal(tensors[f"model.{name}"], value) for name, value in state["model"].items())


@pytest.mark.parametrize("stage", [STAGE, PIXELS], ids=lambda stage: stage["space"])
def test_saved_step_comes_to_the_same_again(start: Callable[..., Training], stage: dict[str, Any]) -> None:
    run = start(recipe({**stage, "lr": 0.99, "steps": 50}))
    stopped(run)
    seen = read_step(run.diverged)[1]["terms"]
    again = start(run.recipe, "again")
    result = replay(run.diverged, run.recipe, again.model, again.teacher)
    assert result.keys() == seen.keys()
    assert all(result[name] == pytest.approx(value, rel=1e-5, nan_ok=True) for name, value in seen.items())
    grads = [p.grad for p in again.model.parameters() if p.grad is not None]
    finite = all(map(math.isfinite, result.values())) and all(torch.isfinite(grad).all() for grad in grads)
    assert not finite


def test_gradient_that_is_no_number_is_named(start: Callable[..., Training]) -> None:
    # The estimate's last weights multiply a huge activation: a finite loss, whose gradient overflows.
    run = start(recipe({**STAGE, "modules": ["mmse"], "weights": {"mmse": 1e6, "consistency": 0.0}}))
    with torch.no_grad():
        block = run.model.mmse.lrm[0].RDB3  # type: ignore[union-attr, operator, index]
        block.conv4.block[0].bias.fill_(1e38)
        block.conv5.block[0].weight.mul_(1e-34)
    text = stopped(run)
    assert "step 0: gradient of mmse.lrm.0.RDB3.conv5.block.0.weight is not a finite number" in text
    assert math.isfinite(read_step(run.diverged)[1]["terms"]["mmse"])
    assert all(torch.isfinite(p).all() for p in run.model.parameters())


def test_step_that_cannot_be_kept_does_not_hide_the_divergence(start: Callable[..., Training]) -> None:
    run = start(recipe(STAGE))
    poison(run)
    run.folder.write_text("a file in its place")
    text = stopped(run)
    assert text.startswith("training diverged in stages[0], step 0: mmse is inf")
    why = "cannot be written (File exists): choose another folder, a file of that name is in the way"
    assert text.endswith(f"its batch could not be kept: {run.diverged}: {why}")


def test_other_files_are_no_saved_steps(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(VerificationError, match=r"x\.safetensors: not a readable saved step"):
        read_step(path)
    save_file({"w": torch.ones(1)}, path)
    with pytest.raises(VerificationError, match=r"x\.safetensors: not a saved step"):
        read_step(path)
