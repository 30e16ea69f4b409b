"""Passes: what a recipe may do to a model, in order. One file, one class, one recipe key.

``PASSES`` names every pass by its settings' model and is importable without torch, so that a recipe is checked
before anything heavy is loaded; ``load_pass`` gives the class.
"""

import importlib
from typing import TYPE_CHECKING, Any

from compress.passes.settings import CollapseSettings, EqualizeSettings, FoldTimeSettings, PtqSettings, QatSettings
from compress.schema import Strict

if TYPE_CHECKING:
    from compress.passes.base import Pass

PASSES: dict[str, type[Strict]] = {
    "collapse": CollapseSettings,
    "fold_time": FoldTimeSettings,
    "equalize": EqualizeSettings,
    "ptq": PtqSettings,
    "qat": QatSettings,
}
_CLASSES = {"collapse": "Collapse", "fold_time": "FoldTime", "equalize": "Equalize", "ptq": "Ptq", "qat": "Qat"}


def load_pass(name: str, settings: dict[str, Any]) -> "Pass":
    """The pass ``name`` with its settings validated."""
    module = importlib.import_module(f"compress.passes.{name}")
    return getattr(module, _CLASSES[name])(PASSES[name].model_validate(settings))
