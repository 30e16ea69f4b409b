"""Structured pruning: the best channels stay, the rest computes what a model without the others computes."""

from dataclasses import replace

import pytest
import torch

from compress.elir.model import Elir, ElirConfig
from compress.passes.shrink.channels import config_widths, narrow, scored_channels

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def magnitude(group: object) -> torch.Tensor:
    import torch_pruning

    return torch_pruning.importance.GroupMagnitudeImportance(p=2)(group)


def run(model: Elir) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    lq, noise = torch.rand(1, 3, 64, 64, generator=generator), torch.randn(1, 16, 8, 8, generator=generator)
    with torch.no_grad():
        return model(lq, noise)


@pytest.fixture()
def wide() -> Elir:
    torch.manual_seed(0)
    config = ElirConfig(hid_channels=32, c_hid=16, n_rrdb=1, k_steps=1, enc_widths=(16,) * 4, dec_widths=(16,) * 4)
    return Elir(config).eval().requires_grad_(False)


def test_every_network_gets_its_widths(wide: Elir) -> None:
    config = replace(wide.config, hid_channels=8, c_hid=8, enc_widths=(16, 8, 8, 16), dec_widths=(16, 8, 8, 8))
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    narrowed = narrow(wide, config, magnitude)
    assert narrowed.config == config
    assert {n: p.shape for n, p in narrowed.named_parameters()} == {
        n: p.shape for n, p in Elir(config).named_parameters()
    }
    assert run(narrowed).isfinite().all()
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())
    assert not any(p.requires_grad for p in (*narrowed.parameters(), *wide.parameters()))


def test_channels_that_do_nothing_come_last(wide: Elir) -> None:
    """Half of the channels of one block of the decoder, and of the MMSE net, are dead."""
    block = wide.dec.layers[2].conv
    growth = wide.mmse.lrm[0].RDB1.conv1.block[0]
    with torch.no_grad():
        for layer in (block[0], growth):
            layer.weight[::2] = 0
            layer.bias[::2] = 0
        block[2].weight[:, ::2] = 0
    chosen = {c.layer: c.scores for c in scored_channels(wide, magnitude)}
    assert chosen["dec.layers.2.conv.0"][::2].max() < chosen["dec.layers.2.conv.0"][1::2].min()
    assert chosen["mmse.lrm.0.RDB1.conv1.block.0"][::2].max() < chosen["mmse.lrm.0.RDB1.conv1.block.0"][1::2].min()


def test_the_same_widths_change_nothing(wide: Elir) -> None:
    assert torch.equal(run(narrow(wide, wide.config, magnitude)), run(wide))


def test_dead_streams_leave_exactly(wide: Elir) -> None:
    """The decoder's last resolution carries 8 dead channels: cut to 8, it gives the same picture."""
    dead = slice(0, 16, 2)
    conv, block, last = wide.dec.layers[-3], wide.dec.layers[-2].conv, wide.dec.layers[-1]
    with torch.no_grad():
        conv.weight[dead] = 0
        block[4].weight[dead], block[4].bias[dead] = 0, 0
        for inner in (block[0], block[2]):
            inner.weight[dead], inner.bias[dead] = 0, 0
        for reader in (*block, last):
            if isinstance(reader, torch.nn.Conv2d):
                reader.weight[:, dead] = 0
    narrowed = narrow(wide, replace(wide.config, dec_widths=(16, 16, 16, 8)), magnitude)
    torch.testing.assert_close(run(narrowed), run(wide), atol=1e-5, rtol=1e-5)


def test_widths_of_a_configuration() -> None:
    widths = config_widths(ElirConfig(hid_channels=8, c_hid=8, n_rrdb=1, dec_widths=(64, 32, 16, 8)))
    assert widths["dec.layers.0"] == 64 and widths["dec.layers.16"] == 8 and widths["dec.layers.18"] == 3
    assert widths["fmir.mid_blocks.0.block1.block.2"] == 32
