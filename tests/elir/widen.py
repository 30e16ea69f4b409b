"""A bundled model in a published size: wider and deeper, and still the same function.

A channel is repeated inside its group of GroupNorm, so that mean and variance stay; every layer that reads it gets its
weights in random shares, which sum to what they were. Added RRDBs and middle blocks are identities. So quality at the
published widths means something, where random weights would give noise.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from compress.elir.flow import ResnetBlock
from compress.elir.mmse import RRDB, ResidualDenseBlock
from compress.elir.model import Elir, ElirConfig

LATENT = 16


def widen(model: Elir, config: ElirConfig, seed: int = 0) -> Elir:
    """``model`` (collapsed, its time not folded) with the widths and depths of ``config``, computing the same.

    ``hid_channels`` and ``c_hid`` must be whole multiples of the model's, else ValueError. Three channels in a group
    cannot stand for two with the same mean and variance: 96 comes of 32, not of 64.
    """
    old = model.config
    for name in ("hid_channels", "c_hid"):
        if getattr(config, name) % getattr(old, name):
            raise ValueError(f"{name} (={getattr(config, name)}) must be a multiple of {getattr(old, name)}")
    wide = Elir(replace(config, enc_widths=old.enc_widths, dec_widths=old.dec_widths)).eval().requires_grad_(False)
    wide.enc.load_state_dict(model.enc.state_dict())
    wide.dec.load_state_dict(model.dec.state_dict())
    generator = torch.Generator().manual_seed(seed)
    _widen_flow(model.fmir, wide.fmir, config.hid_channels // old.hid_channels, generator)  # type: ignore[arg-type]
    _widen_mmse(model.mmse.lrm, wide.mmse.lrm, config.c_hid // old.c_hid, generator)
    wide.metadata = dict(model.metadata)
    return wide


def _widen_flow(old: nn.Module, new: nn.Module, times: int, generator: torch.Generator) -> None:
    layers = dict(old.named_modules())
    for name, layer in new.named_modules():
        source = layers.get(name)
        if not hasattr(layer, "weight") or source is None:  # an added middle block has none
            continue
        out = 1 if name.startswith(("time_mlp", "final_proj")) else times
        into = 1 if name.startswith(("time_mlp", "first_proj")) or ".mlp." in name else times
        outs = torch.arange(source.bias.numel()).repeat_interleave(out)
        if isinstance(layer, nn.GroupNorm):
            layer.weight.copy_(source.weight[outs])
        else:
            channels_in = source.weight.shape[0 if isinstance(layer, nn.ConvTranspose2d) else 1]
            ins = torch.arange(channels_in).repeat_interleave(into)
            _copy(layer, source.weight, outs, ins, generator)
        layer.bias.copy_(source.bias[outs])
    for block in new.mid_blocks[len(old.mid_blocks) :]:
        _identity_resnet(block, new.mid_blocks[0], generator)


def _widen_mmse(old: nn.Sequential, new: nn.Sequential, times: int, generator: torch.Generator) -> None:
    for block, source in zip(new, old, strict=False):
        for name in ("RDB1", "RDB2", "RDB3"):
            _widen_dense(getattr(source, name), getattr(block, name), times, generator)
    for block in new[len(old) :]:
        _identity_rrdb(block, new[0], generator)  # type: ignore[arg-type]


def _widen_dense(old: ResidualDenseBlock, new: ResidualDenseBlock, times: int, generator: torch.Generator) -> None:
    """The 16 channels that the block reads stay; each feature that it adds is repeated."""
    for i in range(1, 6):
        source, layer = getattr(old, f"conv{i}").block[0], getattr(new, f"conv{i}").block[0]
        features = torch.arange(LATENT, source.in_channels).repeat_interleave(times)
        ins = torch.cat([torch.arange(LATENT), features])
        outs = torch.arange(source.out_channels).repeat_interleave(1 if i == 5 else times)
        _copy(layer, source.weight, outs, ins, generator)
        layer.bias.copy_(source.bias[outs])


def _copy(layer: nn.Module, weight: Tensor, outs: Tensor, ins: Tensor, generator: torch.Generator) -> None:
    """``weight`` with outputs ``outs`` and inputs ``ins`` of its own, those of a repeated input in random shares."""
    turned = isinstance(layer, nn.ConvTranspose2d)  # its inputs stand first
    weight = weight.transpose(0, 1) if turned else weight
    parts = torch.rand(len(outs), len(ins), generator=generator) + 0.5
    sums = torch.zeros(len(outs), weight.shape[1]).index_add_(1, ins, parts)
    shares = parts / sums[:, ins]
    wide = weight[outs][:, ins] * shares.reshape(*shares.shape, *[1] * (weight.ndim - 2))
    layer.weight.copy_(wide.transpose(0, 1) if turned else wide)  # type: ignore[operator]


def _resemble(block: nn.Module, like: nn.Module, generator: torch.Generator) -> None:
    """Weights near those of ``like``: equal ones would be stored once by an export."""
    for value, near in zip(block.parameters(), like.parameters(), strict=True):
        value.copy_(near * (1 + 0.1 * torch.rand(near.shape, generator=generator)))


def _identity_resnet(block: nn.Module, like: nn.Module, generator: torch.Generator) -> None:
    """Near ``like`` but for what it adds to its shortcut, which is nothing, and the shortcut, which changes nothing."""
    assert isinstance(block, ResnetBlock)
    _resemble(block, like, generator)
    nn.init.zeros_(block.block2.block[2].weight)  # type: ignore[arg-type]
    nn.init.zeros_(block.block2.block[2].bias)  # type: ignore[arg-type]
    nn.init.dirac_(block.conv2d.weight)
    nn.init.zeros_(block.conv2d.bias)  # type: ignore[arg-type]


def _identity_rrdb(block: RRDB, like: RRDB, generator: torch.Generator) -> None:
    """RDB3(RDB2(RDB1(x))) * 0.2 + x is x where the first two are identities and the third takes x away."""
    _resemble(block, like, generator)
    for name in ("RDB1", "RDB2", "RDB3"):
        last = getattr(block, name).conv5.block[0]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    centre = block.RDB3.conv5.block[0].weight
    centre[range(LATENT), range(LATENT), 1, 1] = -5.0  # a dense block adds 0.2 of it to x
