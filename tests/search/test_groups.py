"""Layers that share a weight are one choice; prefixes say the same in fewer words."""

import pytest
import torch

from compress.elir.flow import FoldedFlow
from compress.elir.latent import noise_shape
from compress.elir.macs import picture_macs
from compress.elir.model import Elir
from compress.passes.quantize.engines.elir import quantizable
from compress.passes.quantize.schemes import SCHEMES
from compress.recipe.passes import PtqSettings
from compress.search.groups import Group, groups_of, prefixes

BITS = {"dec.a.0": 4, "dec.a.1": 4, "dec.b.0": 4, "dec.b.1": 8, "enc.a": 8, "fmir.steps.0": 4, "fmir.steps.1": 4}


@pytest.fixture()
def folded(tiny_elir: Elir) -> Elir:
    tiny_elir.fmir = FoldedFlow(tiny_elir.fmir, 3)
    return tiny_elir


@pytest.mark.parametrize("scheme", ["openvino", "onnxruntime"])
def test_steps_share_their_choice(folded: Elir, scheme: str) -> None:
    torch.manual_seed(0)
    convs = quantizable(folded, PtqSettings())
    groups = groups_of(folded, convs, SCHEMES[scheme], torch.rand(1, 3, 64, 64), torch.randn(noise_shape(64, 64)))
    flow = [group for group in groups if group.network == "flow"]
    assert all(len(group.layers) == 3 for group in flow)
    named = [name for group in groups for name in group.layers]
    assert len(set(named)) == len(named)
    if scheme == "openvino":
        assert set(named) == set(convs)
        assert sum(g.parameters for g in groups) == sum(p.numel() for p in {c.weight for c in convs.values()})
        # All but what is not a convolution.
        assert 0.9 < sum(g.macs for g in groups) / picture_macs(folded, 64, 64) <= 1
    else:
        assert not any(name.endswith(("enc.layers.0", "final_proj")) for name in named)


def test_bytes_of_bits() -> None:
    group = Group(("dec.layers.0",), 1000, 1)
    assert [group.bytes(bits, "onnx") for bits in (4, 7, 8, 16)] == [500, 1000, 1000, 4000]
    assert group.bytes(4, "executorch") == 1000  # its kernels read what its file stores


def test_prefixes_say_the_same() -> None:
    short = prefixes(BITS, 8)
    assert short == {"dec.a": 4, "dec.b.0": 4, "fmir": 4}
    settings = PtqSettings(layer_bits=short)
    assert {layer: settings.bits_of(layer) for layer in BITS} == BITS


def test_layers_with_the_usual_bits_need_no_entry() -> None:
    assert prefixes(dict.fromkeys(BITS, 8), 8) == {}
