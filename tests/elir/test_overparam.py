"""The collapse of the over-parametrised form is exact."""

import copy

import pytest
import torch
from torch import nn

from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig
from compress.elir.overparam import collapse, collapse_pair, conv_pair, expand

CONFIG = ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, over_param=True)


@pytest.fixture(scope="module")
def wide() -> Elir:
    torch.manual_seed(3)
    return Elir(CONFIG).eval().requires_grad_(False)


@pytest.mark.parametrize("bias", [True, False])
def test_pair_equals_its_collapse_at_the_borders_too(bias: bool) -> None:
    first, second = nn.Conv2d(5, 28, 3, padding=1, bias=bias), nn.Conv2d(28, 7, 1, bias=bias)
    x = torch.randn(2, 5, 6, 9)
    torch.testing.assert_close(collapse_pair(first, second)(x), second(first(x)), atol=1e-5, rtol=0)


def test_pair_is_collapsed_in_double_precision() -> None:
    first, second = conv_pair(16, 8, over_param=True)
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
    first.double(), second.double()
    x = torch.randn(1, 16, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(collapse_pair(first, second)(x), second(first(x)), atol=1e-12, rtol=0)


def test_model_equals_its_collapse_at_every_stage(wide: Elir) -> None:
    plain = copy.deepcopy(wide)
    collapse(plain)
    lq, noise = torch.rand(1, 3, 64, 96), torch.randn(noise_shape(64, 96))
    before, after = wide.stages(lq, noise), plain.stages(lq, noise)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-5, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


def test_collapsed_names_and_shapes_are_the_plain_form_s(wide: Elir) -> None:
    plain = copy.deepcopy(wide)
    assert collapse(plain) == 15 + 9 * 2 + 1
    fresh = Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1))
    assert {n: v.shape for n, v in plain.state_dict().items()} == {n: v.shape for n, v in fresh.state_dict().items()}
    assert not any(p.requires_grad for p in plain.parameters())


def test_plain_model_has_nothing_to_collapse(tiny_elir: Elir) -> None:
    before = {name: value.clone() for name, value in tiny_elir.state_dict().items()}
    assert collapse(tiny_elir) == 0
    assert all(torch.equal(before[name], value) for name, value in tiny_elir.state_dict().items())


def test_expanded_model_collapses_to_itself(tiny_elir: Elir) -> None:
    model = copy.deepcopy(tiny_elir)
    assert expand(model) == 15 + 9 * 2 + 1
    wide = Elir(CONFIG)
    assert {n: v.shape for n, v in model.state_dict().items()} == {n: v.shape for n, v in wide.state_dict().items()}
    # The spare channels are not dead: a step of training can reach them.
    second = model.mmse.lrm[0].RDB1.conv1.block  # type: ignore[union-attr]
    assert second[0].weight[8:].abs().min() > 0 and not second[1].weight[:, 8:].any()
    collapse(model)
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in tiny_elir.state_dict().items())
