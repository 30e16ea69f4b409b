"""Errors by stage and layer, with values worked out by hand."""

import copy
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from compress.elir.flow import FoldedFlow
from compress.elir.latent import noise_shape
from compress.elir.model import Elir
from compress.elir.stage_errors import CAP_DB, layer_errors, mean_psnr, psnr, sqnr_db, stage_errors

STAGES = ["latent", "mmse", "step_1", "step_2", "step_3", "output"]


def test_sqnr_by_hand() -> None:
    signal = torch.full((1, 2, 2, 2), 10.0)
    assert sqnr_db(signal, signal + 1) == pytest.approx(20.0)
    assert sqnr_db(signal, signal + 0.1) == pytest.approx(40.0, abs=1e-3)
    assert sqnr_db(signal, signal) == CAP_DB
    assert sqnr_db(torch.zeros(3), torch.ones(3)) == CAP_DB


def test_psnr_by_hand_after_clipping() -> None:
    black = torch.zeros(1, 3, 4, 4)
    assert psnr(black, black + 0.1) == pytest.approx(20.0, abs=1e-4)
    assert psnr(black - 5, black) == CAP_DB
    assert psnr(black + 0.5, black + 9) == pytest.approx(-20 * math.log10(0.5))
    assert mean_psnr([black, black], [black + 0.1, black + 0.01]) == 30.0


def test_mean_psnr_wants_as_many_of_each() -> None:
    with pytest.raises(ValueError, match="shorter"):
        mean_psnr([torch.zeros(1), torch.zeros(1)], [torch.zeros(1)])


@pytest.fixture()
def pair(photo: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    lq = torch.from_numpy(photo[:64, :64] / np.float32(255)).permute(2, 0, 1)[None]
    return lq, torch.randn(noise_shape(64, 64), generator=torch.Generator().manual_seed(0))


def disturbed(model: Elir, part: str) -> Elir:
    """A copy whose ``part`` errs in its last convolution."""
    other = copy.deepcopy(model)
    convs = [m for m in other.get_submodule(part).modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        convs[-1].weight.mul_(1.05)
    return other


def by_stage(model: Elir, other: Elir, pair: tuple[torch.Tensor, torch.Tensor]) -> dict[tuple[str, str], float]:
    entries = stage_errors(model, other, [pair])
    assert {e.precision for e in entries} == {"int8"}
    return {(e.mode, e.stage): e.sqnr_db for e in entries}


def test_the_same_model_has_no_error(tiny_elir: Elir, pair: tuple) -> None:
    errors = by_stage(tiny_elir, tiny_elir, pair)
    assert list(errors) == [(mode, stage) for mode in ("free_running", "teacher_forced") for stage in STAGES]
    assert min(errors.values()) > 120


def test_an_error_of_the_encoder_runs_on_but_is_its_own(tiny_elir: Elir, pair: tuple) -> None:
    errors = by_stage(tiny_elir, disturbed(tiny_elir, "enc"), pair)
    assert errors["free_running", "latent"] == errors["teacher_forced", "latent"] < 40
    assert all(errors["free_running", stage] < 60 for stage in STAGES)
    assert all(errors["teacher_forced", stage] > 120 for stage in STAGES[1:])


def test_an_error_of_the_flow_is_forced_to_be_told_at_every_step(tiny_elir: Elir, pair: tuple) -> None:
    errors = by_stage(tiny_elir, disturbed(tiny_elir, "fmir"), pair)
    assert errors["free_running", "mmse"] > 120
    assert errors["free_running", "step_1"] == errors["teacher_forced", "step_1"] < 90
    assert errors["teacher_forced", "output"] > 120
    free = [errors["free_running", f"step_{k}"] for k in (1, 2, 3)]
    assert all(later < earlier for earlier, later in pairwise(free)), "errors of the steps add up"


def test_every_convolution_is_told_and_hooks_are_gone(tiny_elir: Elir, pair: tuple) -> None:
    tiny_elir.fmir = FoldedFlow(tiny_elir.fmir, 3)  # type: ignore[arg-type]
    errors = layer_errors(tiny_elir, disturbed(tiny_elir, "dec"), pair)
    convs = [n for n, m in tiny_elir.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert [e.layer for e in errors] == convs
    ratios = {e.layer: e.sqnr_db for e in errors}
    last = [n for n in convs if n.startswith("dec.")][-1]
    assert ratios[last] < 40 and min(v for n, v in ratios.items() if n != last) > 120
    assert {e.stage for e in errors} == {"enc", "mmse", "fmir", "dec"}
    assert not any(m._forward_hooks for m in tiny_elir.modules())


@pytest.mark.parametrize("measure", [psnr, sqnr_db])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_not_perfect(measure: Any, value: float) -> None:
    good = torch.full((1, 3, 4, 4), 0.5)
    bad = good.clone()
    bad[0, 0, 0, 0] = value
    if measure is psnr and value == math.inf:
        assert psnr(good, bad) < 60, "infinity is clipped to 1"
        return
    with pytest.raises(FloatingPointError, match="NaN or Inf"):
        measure(good, bad)
