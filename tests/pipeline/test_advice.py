"""Every goal that can be missed is followed by what to try, and what is advised exists."""

import re
from collections.abc import Callable
from typing import get_args

import pytest
from typer.main import get_command

from compress.cli.commands import app
from compress.pipeline.advice import ADVICE, OF_TARGETS, advice, goals_without_target
from compress.recipe.library import names
from compress.recipe.pass_item import PassItem
from compress.recipe.schema import Goals, Recipe, SpeedGoal


def test_every_goal_has_advice() -> None:
    """A recipe's keys; speedup by what it is against, and what targets and pictures are judged by besides."""
    speedups = {f"speedup_vs_{vs}" for vs in get_args(SpeedGoal.model_fields["vs"].annotation)}
    assert set(ADVICE) == set(Goals.model_fields) - {"speedup"} | speedups | {"delegated"}


def test_goals_of_one_kind_share_a_line() -> None:
    first, second = advice(["psnr_drop_db", "speedup_vs_fp32", "fidelity_db", "psnr_drop_db"])
    assert first.startswith("psnr_drop_db, fidelity_db missed: see which layers lose most")
    assert second.startswith("speedup_vs_fp32 missed: measure again when the machine is idle")
    assert advice([]) == []


def test_a_goal_of_a_stranger_s_results_has_none() -> None:
    assert advice(["x", "[b]"]) == []


def test_a_goal_that_nothing_measured_has_advice_of_its_own() -> None:
    assert advice([], ["breaches", "breaches"]) == [
        "breaches not measured: name a target that does (targets, --target), or leave the goal out"
    ]


@pytest.mark.parametrize("goal", OF_TARGETS)
def test_goals_of_targets_need_one(tiny_recipe: Callable[..., Recipe], goal: str) -> None:
    goals = {goal: {"min": 1.0} if goal == "speedup" else 1}
    without, with_one = tiny_recipe(goals=goals), tiny_recipe(goals=goals, targets=["x86-onnxruntime"])
    assert goals_without_target(without).startswith(f"goals.{goal}: the recipe has no target that measures it")
    assert goals_without_target(with_one) == goals_without_target(tiny_recipe(goals={"size_ratio": 0.5})) == ""


@pytest.mark.parametrize("text", sorted(set(ADVICE.values())))
def test_what_is_advised_exists(text: str) -> None:
    for command in re.findall(r"`compress (\w+)", text):
        assert command in get_command(app).commands  # type: ignore[attr-defined]
    recipes = re.search(r"as the recipes? ([\w ]+) do", text)
    for recipe in recipes[1].split(" and ") if recipes else []:
        assert recipe in names("recipes")
    for name in re.findall(r"the pass (\w+)", text):
        assert name in PassItem.model_fields
