"""Which widths leave a model with a given share of its multiplications, at the least importance lost."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig
from compress.passes.shrink.channels import Channels, config_widths

STEP = 8  # channels: what int8 kernels work on at once
SIZE = 64  # px: the share is the same at any size


def within(model: Elir, share: float, channels: list[Channels]) -> ElirConfig:
    """The configuration whose multiplications are at most ``share`` of the model's.

    Greedy: the width that loses least importance for each multiplication saved goes down by a step, again and again.
    A channel's importance counts against the mean of its group. Raises ValueError when even the narrowest is too much.
    """
    config = model.config
    budget = share * macs(config)
    losses = {c.layer: (c.scores.sort().values / c.scores.mean().clamp_min(1e-30)).cumsum(0) for c in channels}
    full = config_widths(config)
    while (now := macs(config)) > budget:
        candidates = list(narrower(config))
        if not candidates:
            raise ValueError(
                f"no widths leave {share:.0%} of the multiplications: {now / macs(model.config):.0%} are left"
            )
        config = min(candidates, key=lambda c: _lost(losses, full, config, c) / (now - macs(c)))
    return config


def narrower(config: ElirConfig) -> Iterator[ElirConfig]:
    """The configurations that have one width less by a step."""
    yield from (replace(config, enc_widths=widths) for widths in _one_narrower(config.enc_widths))
    yield from (replace(config, dec_widths=widths) for widths in _one_narrower(config.dec_widths))
    if config.c_hid > STEP:
        yield replace(config, c_hid=_below(config.c_hid))
    if config.hid_channels > STEP:
        yield replace(config, hid_channels=_below(config.hid_channels))


def _one_narrower(widths: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for i, width in enumerate(widths):
        if width > STEP:
            yield (*widths[:i], _below(width), *widths[i + 1 :])


def _below(width: int) -> int:
    return (width - 1) // STEP * STEP


def _lost(losses: dict[str, Tensor], full: dict[str, int], before: ElirConfig, after: ElirConfig) -> float:
    """Importance that leaves between two configurations."""
    now, then = _widths(before), _widths(after)

    def gone(layer: str, widths: dict[str, int]) -> float:
        cut = full[layer] - widths[layer]
        return losses[layer][cut - 1].item() if cut else 0.0

    return sum(gone(layer, then) - gone(layer, now) for layer in losses)


@lru_cache(maxsize=512)
def _widths(config: ElirConfig) -> dict[str, int]:
    return config_widths(config)


@lru_cache(maxsize=512)
def macs(config: ElirConfig) -> int:
    """Multiply-accumulates of a picture of ``SIZE`` px, counted without computing anything."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = Elir(config)
        counter = FlopCounterMode(display=False)
        with counter, torch.inference_mode():
            model(torch.empty(1, 3, SIZE, SIZE), torch.empty(noise_shape(SIZE, SIZE)))
    return counter.get_total_flops() // 2
