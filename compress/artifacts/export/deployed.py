"""The graph that artifacts hold: static shapes, noise scaled inside, output clipped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.fx import config

from compress.elir.noise import seeded_noise
from compress.recipe.image_size import Shape

INPUT_NAMES = ("lq", "noise")

OUTPUT_NAME = "hq"


class DeployedModel(nn.Module):
    """(lq (1, 3, H, W) in [0, 1], noise (1, 16, H/8, W/8) standard normal) -> hq clipped to [0, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        return self.model(lq, noise).clamp(0, 1)


class BakedModel(nn.Module):
    """A ``DeployedModel`` with a seeded noise inside: one input."""

    def __init__(self, model: nn.Module, noise: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("noise", noise)

    def forward(self, lq: Tensor) -> Tensor:
        return self.model(lq, self.noise).clamp(0, 1)


def deployed(model: nn.Module, shape: Shape, baked_seed: int | None) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The module to export for pictures of ``shape``, and its example inputs."""
    lq = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0))
    if baked_seed is None:
        return DeployedModel(model).eval(), (lq, seeded_noise(*shape, 0))
    return BakedModel(model, seeded_noise(*shape, baked_seed)).eval(), (lq,)


@contextmanager
def without_stack_traces() -> Iterator[None]:
    """Spare an export the Python stack of every node: it costs a tenth of the time, and no artifact keeps it."""
    before = getattr(config, "do_not_emit_stack_traces", False)
    config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        config.do_not_emit_stack_traces = before
