"""The layer where a number is first none is named."""

import pytest
import torch

from compress.elir.finite import first_not_finite
from compress.elir.latent import noise_shape
from compress.elir.model import Elir


@pytest.mark.parametrize("value", [torch.nan, 3e38])
def test_the_first_layer_that_is_not_finite_is_named(tiny_elir: Elir, value: float) -> None:
    pair = torch.rand(1, 3, 32, 32), torch.randn(noise_shape(32, 32))
    assert first_not_finite(tiny_elir, *pair) is None
    tiny_elir.dec.layers[2].conv[0].weight.fill_(value)  # type: ignore[union-attr,index,operator]
    assert first_not_finite(tiny_elir, *pair) == "dec.layers.2.conv.0"
