"""Hooks go with their block; convolutions in the order in which they run."""

import pytest
import torch
from torch import nn

from compress.elir.flow import FoldedFlow
from compress.elir.hooks import convs_in_order, hooks
from compress.elir.model import Elir


def test_hooks_go_with_their_block() -> None:
    seen: list[str] = []
    layer = nn.ReLU()
    with pytest.raises(ValueError, match="stop"), hooks([layer.register_forward_hook(lambda *_: seen.append("x"))]):
        layer(torch.zeros(1))
        raise ValueError("stop")
    layer(torch.zeros(1))
    assert seen == ["x"]


def test_convolutions_are_listed_as_they_run(tiny_elir: Elir) -> None:
    tiny_elir.fmir = FoldedFlow(tiny_elir.fmir, tiny_elir.k_steps)  # type: ignore[arg-type]
    names = list(convs_in_order(tiny_elir))
    assert names.index("fmir.steps.0.mid_blocks.0.conv2d") < names.index("fmir.steps.0.up_blocks.0.1.conv2d")
    assert len(names) == sum(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in tiny_elir.modules())
