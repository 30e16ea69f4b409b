"""Multiply-accumulates, counted without computing anything."""

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from compress.elir.model import Elir


def stage_macs(model: "Elir", lq: "Tensor", noise: "Tensor") -> dict[str, int]:
    """Multiply-accumulates of each stage, as torch counts them: convolutions and matrix products."""
    from torch.utils.flop_counter import FlopCounterMode

    counter, macs, before = FlopCounterMode(display=False), {}, 0
    with counter:
        for name, _ in model.iter_stages(lq, noise):
            macs[name] = (counter.get_total_flops() - before) // 2
            before = counter.get_total_flops()
    return macs


def picture_macs(model: "Elir", height: int, width: int) -> int:
    """Multiply-accumulates of a whole restoration of (3, ``height``, ``width``)."""
    import torch

    from compress.elir.latent import noise_shape

    with torch.inference_mode():
        shapes = copy.deepcopy(model).to("meta")
        pair = torch.empty(1, 3, height, width, device="meta"), torch.empty(noise_shape(height, width), device="meta")
        return sum(stage_macs(shapes, *pair).values())
