"""The graphs that artifacts hold: noise scaled inside, output clipped, static shapes but of a flow on its own."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import config

from compress.artifacts.stages import INPUTS, NETWORKS, OUTPUTS
from compress.elir.latent import noise_shape
from compress.elir.model import Elir
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


@dataclass(frozen=True)
class Exportable:
    """What one graph is made of. ``inputs``: examples by name. ``free``: their heights and widths are any multiples of
    4; else as the examples'."""

    module: nn.Module
    inputs: dict[str, Tensor]
    output: str
    free: bool = False

    def free_sides(self, most: int | None = None) -> tuple[dict[int, Any], ...] | None:
        """Torch's ``dynamic_shapes``: height and width, the same for every input, up to ``most``; None: all static."""
        if not self.free:
            return None
        height, width = (4 * torch.export.Dim(name, min=1, max=most and most // 4) for name in ("h", "w"))
        return tuple({2: height, 3: width} for _ in self.inputs)


class StageModel(nn.Module):
    """``stage`` of ``model``; inputs and output are named in ``compress.artifacts.stages``."""

    def __init__(self, model: Elir, stage: str) -> None:
        super().__init__()
        # The others' weights would stay in an ExecuTorch program.
        self.model = copy.copy(model)
        self.model._modules = {name: part for name, part in model._modules.items() if name in NETWORKS[stage]}


class EncodeModel(StageModel):
    def forward(self, lq: Tensor) -> Tensor:
        return self.model.enc(lq)


class FlowModel(StageModel):
    def forward(self, latent: Tensor, noise: Tensor) -> Tensor:
        return self.model.flow(latent, noise)


class DecodeModel(StageModel):
    def forward(self, restored_latent: Tensor, lq: Tensor | None = None) -> Tensor:
        return self.model.decode(restored_latent, lq).clamp(0, 1)


_STAGES: dict[str, type[StageModel]] = {"encode": EncodeModel, "flow": FlowModel, "decode": DecodeModel}


def exportable(model: nn.Module, shape: Shape, baked_seed: int | None, stage: str = "") -> Exportable:
    """A stage of ``model``, or the whole, for pictures of ``shape``."""
    if not stage:
        module, examples = deployed(model, shape, baked_seed)
        return Exportable(module, dict(zip(INPUT_NAMES, examples, strict=False)), OUTPUT_NAME)
    assert isinstance(model, Elir), "engines that leave another model are refused with export.layout"
    # Not equal sides, which an export could take for one; not one tensor twice, whose two names it would mix up.
    latent, noise = (torch.zeros(noise_shape(max(shape) + 64, min(shape))) for _ in range(2))
    lq, own = torch.zeros(1, 3, *shape), torch.zeros(noise_shape(*shape))
    examples = {"encode": (lq,), "flow": (latent, noise), "decode": (own, lq)}[stage]
    names = INPUTS[stage] if stage != "decode" or model.config.residual else INPUTS[stage][:1]
    inputs = dict(zip(names, examples, strict=False))
    return Exportable(_STAGES[stage](model, stage).eval(), inputs, OUTPUTS[stage], free=stage == "flow")


@contextmanager
def without_stack_traces() -> Iterator[None]:
    """Spare an export the Python stack of every node: it costs a tenth of the time, and no artifact keeps it."""
    before = getattr(config, "do_not_emit_stack_traces", False)
    config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        config.do_not_emit_stack_traces = before
