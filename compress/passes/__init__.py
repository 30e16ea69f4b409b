"""Passes: what a recipe may do to a model. One file, one class, one recipe key."""

import importlib
from typing import TYPE_CHECKING

from compress.recipe.strict import Strict

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


def load_pass(name: str, settings: Strict) -> "Pass":
    """The pass ``name`` with its settings, as a recipe's item has both."""
    module = importlib.import_module(f"compress.passes.{name}")
    return getattr(module, _CLASSES[name])(settings)
