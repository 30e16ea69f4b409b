"""Tasks: scale, border, degradation and the name of their input."""

from typing import get_args

import pytest

from compress.recipe.degradation import SuperResolution
from compress.recipe.task import TASKS, Task, task_border, task_degradation, task_input, task_scale


@pytest.mark.parametrize("task", [t for t in get_args(Task) if "sr" not in t])
def test_other_tasks_stay_on_their_grid(task: Task) -> None:
    assert (task_scale(task), task_border(task)) == (1, 0)
    assert task_input(task).endswith(" input")


def test_the_published_sr_x8_is_beside_nearest_enlargement() -> None:
    assert (task_scale("sr_x8_published"), task_border("sr_x8_published")) == (8, 8)
    assert task_input("sr_x8_published") == "nearest enlargement"


# The degradations of the authors' data loaders, as the table of docs/data.md gives them.
PUBLISHED = {
    "sr_x8_published": ["sr, scale 8, noise 12.8, enlargement nearest-exact"],
    "blind_sr_x4_published": ["blind_sr, scale 4, second_order 0.0"],
    "denoise_published": ["noise, sigma 89.6"],
    "inpaint_published": ["mask, pattern pixels, share 0.9, fill 0", "noise, sigma 25.6"],
    "inpaint_square": ["mask, pattern square, share 0.25, fill 0", "noise, sigma 25.6"],
    "colorize": ["grey", "noise, sigma 64.0"],
}


@pytest.mark.parametrize("task", PUBLISHED)
def test_published_tasks(task: Task) -> None:
    steps = [step.model_dump() for step in task_degradation(task)]
    said = [", ".join([s.pop("kind"), *(f"{key} {value}" for key, value in s.items())]) for s in steps]
    assert said == PUBLISHED[task]


def test_blind_super_resolution_enlarges_too() -> None:
    assert (task_scale("blind_sr_x4"), task_input("blind_sr_x4")) == (4, "bicubic")
    assert task_degradation("blind_sr_x4")[0].kind == "blind_sr"


def test_every_task_has_a_degradation() -> None:
    assert set(TASKS) == set(get_args(Task))


@pytest.mark.parametrize(("task", "scale"), [("sr_x2", 2), ("sr_x4", 4), ("sr_x8", 8)])
def test_a_task_knows_its_scale_and_degradation(task: Task, scale: int) -> None:
    assert task_scale(task) == scale
    assert task_degradation(task) == [SuperResolution(scale=scale)]
    assert (task_border(task), task_input(task)) == (scale, "bicubic")
