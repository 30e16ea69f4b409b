"""What XNNPACK's delegate would leave outside, rewritten to the same values; test_to_executorch.py: none is left."""

import copy

import pytest
import torch
from torch import Tensor, nn

from compress.artifacts.export.delegated import DelegatedGroupNorm, delegate
from compress.elir.model import Elir


@pytest.mark.parametrize(("groups", "channels"), [(32, 64), (16, 48), (32, 32), (1, 8)])
def test_group_norm(groups: int, channels: int) -> None:
    torch.manual_seed(0)
    norm = nn.GroupNorm(groups, channels, eps=1e-5)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = 3 * torch.randn(1, channels, 8, 6) + 100  # a mean far from 0: squares before differences would lose digits
    torch.testing.assert_close(DelegatedGroupNorm(norm)(x), norm(x), atol=1e-4, rtol=1e-4)


def test_a_model_gives_what_it_gave(folded: Elir, pair: tuple[Tensor, Tensor], wanted: Tensor) -> None:
    model = copy.deepcopy(folded)
    delegate(model)
    assert not any(isinstance(module, nn.GroupNorm | nn.Upsample) for module in model.modules())
    with torch.no_grad():
        torch.testing.assert_close(model(*pair).clamp(0, 1), wanted, atol=1e-5, rtol=1e-5)
