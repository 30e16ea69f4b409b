"""Passes: what a recipe may do to a model. One file, one class, one recipe key."""

import importlib
from typing import TYPE_CHECKING

from compress.recipe.pass_item import PassItem

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


def load_pass(item: PassItem) -> "Pass":
    """The pass that an item of a recipe names, with its settings."""
    module = importlib.import_module(f"compress.passes.{item.name}")
    return getattr(module, _CLASSES[item.name])(item.settings)
