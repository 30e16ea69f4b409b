"""The frame of every pass: exact passes are held to it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from compress.elir.model import Elir
from compress.errors import VerificationError
from compress.passes import load_pass
from compress.passes.base import Pass, Subject
from compress.recipe.pass_item import PassItem
from compress.recipe.passes import CollapseSettings, PtqSettings


class Shift(Pass):
    """Claims to be exact and moves one weight."""

    name = "shift"
    exact = True

    def call(self, subject: Subject) -> None:
        subject.model.dec.layers[-1].bias = torch.nn.Parameter(torch.ones(3))  # type: ignore[union-attr]


def test_an_exact_pass_that_changes_the_output_is_caught(tiny_elir: Elir, make_subject: Callable) -> None:
    with pytest.raises(RuntimeError, match=r"^shift changed the output by \d\.\de[+-]\d\d, over 1e-04$"):
        Shift(CollapseSettings()).run(make_subject(tiny_elir))


def test_an_exact_pass_that_makes_nan_is_caught(tiny_elir: Elir, make_subject: Callable) -> None:
    class Break(Shift):
        def call(self, subject: Subject) -> None:
            subject.model.dec.layers[-1].bias = torch.nn.Parameter(torch.full((3,), torch.nan))  # type: ignore[union-attr]

    wanted = r"^passes: shift left NaN or Inf in dec\.layers\.\d+\.bias: check the weights, or leave it out$"
    with pytest.raises(VerificationError, match=wanted):
        Break(CollapseSettings()).run(make_subject(tiny_elir))


def test_weights_that_overflow_are_no_fault_of_a_pass(tiny_elir: Elir, make_subject: Callable) -> None:
    tiny_elir.dec.layers[2].conv[0].weight.fill_(3e38)  # type: ignore[union-attr,index,operator]
    with pytest.raises(
        VerificationError, match=r"^the model gives NaN or Inf, first in dec\.layers\.2\.conv\.0: check its weights$"
    ):
        Shift(CollapseSettings()).run(make_subject(tiny_elir))


def test_a_subject_without_float_graphs_says_so(tiny_elir: Elir, calibration: Callable) -> None:
    with pytest.raises(RuntimeError, match=r"no float onnx graph: set Subject.float_graph"):
        Subject(tiny_elir, calibration, 8, (64, 64), ("onnx",)).float_graph("onnx")


STAGE = {"inputs": "student", "steps": 1, "batch": 1, "crop": 64, "lr": 1e-4, "warmup": 0, "weights": {"l1": 1.0}}
REQUIRED: dict[str, dict[str, Any]] = {"prune": {"macs": 0.5}, "distill": {"stages": [STAGE]}}


@pytest.mark.parametrize("name", PassItem.model_fields)
def test_every_pass_loads_by_its_recipe_key(name: str) -> None:
    item = PassItem.model_validate({name: REQUIRED.get(name, {})})
    loaded = load_pass(item)
    assert loaded.name == name and loaded.settings is item.settings


def test_settings_reach_the_pass() -> None:
    item = PassItem.model_validate({"ptq": {"engine": "nncf", "weight_bits": 8, "pair_limit": False}})
    settings = load_pass(item).settings
    assert isinstance(settings, PtqSettings) and (settings.engine, settings.weight_bits) == ("nncf", 8)
