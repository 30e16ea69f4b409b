"""Where a model first gives NaN or Inf."""

from typing import Any

import torch
from torch import Tensor, nn

from compress.elir.hooks import hooks


@torch.no_grad()
def first_not_finite(model: nn.Module, lq: Tensor, noise: Tensor) -> str | None:
    """Name of the first layer, in the order of computing, whose output holds NaN or Inf; None where none does."""
    broken: list[str] = []

    def watch(name: str) -> Any:
        def see(module: nn.Module, inputs: Any, output: Any) -> None:
            if not broken and isinstance(output, Tensor) and not torch.isfinite(output).all():
                broken.append(name)

        return see

    leaves = [(name, module) for name, module in model.named_modules() if name and not list(module.children())]
    with hooks(module.register_forward_hook(watch(name)) for name, module in leaves):
        model(lq, noise)
    return broken[0] if broken else None
