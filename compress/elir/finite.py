"""Where a model first gives NaN or Inf."""

from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def first_not_finite(model: nn.Module, lq: Tensor, noise: Tensor) -> str | None:
    """Name of the first layer, in the order of computing, whose output holds NaN or Inf; None where none does."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def see(module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return see

    leaves = [(name, module) for name, module in model.named_modules() if name and not list(module.children())]
    handles = [module.register_forward_hook(watch(name)) for name, module in leaves]
    try:
        model(lq, noise)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
