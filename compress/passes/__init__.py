"""Passes: what a recipe may do to a model. One file, one class, one recipe key."""

import importlib
from typing import TYPE_CHECKING, Any

from compress.recipe.pass_order import PASSES

if TYPE_CHECKING:
    from compress.passes.base import Pass

_CLASSES = {
    "collapse": "Collapse",
    "prune": "Prune",
    "distill": "Distill",
    "fold_time": "FoldTime",
    "equalize": "Equalize",
    "smooth": "Smooth",
    "ptq": "Ptq",
    "reconstruct": "Reconstruct",
    "qat": "Qat",
    "weights": "Weights",
}


def load_pass(name: str, settings: dict[str, Any]) -> "Pass":
    """The pass ``name`` with its settings validated."""
    module = importlib.import_module(f"compress.passes.{name}")
    return getattr(module, _CLASSES[name])(PASSES[name].model_validate(settings))
