"""Multiply-accumulates without computing."""

import torch

from compress.elir.latent import noise_shape
from compress.elir.macs import picture_macs, stage_macs
from compress.elir.model import Elir


def test_a_picture_costs_what_its_stages_do_together(tiny_elir: Elir) -> None:
    stages = stage_macs(tiny_elir, torch.rand(1, 3, 64, 64), torch.randn(noise_shape(64, 64)))
    assert list(stages) == ["latent", "mmse", "step_1", "step_2", "step_3", "output"]
    assert stages["step_1"] == stages["step_2"]
    assert picture_macs(tiny_elir, 64, 64) == sum(stages.values())
    assert next(tiny_elir.parameters()).device.type == "cpu"


def test_four_times_the_pixels_cost_four_times_in_convolutions(tiny_elir: Elir) -> None:
    assert 3.9 < picture_macs(tiny_elir, 128, 128) / picture_macs(tiny_elir, 64, 64) < 4.1
