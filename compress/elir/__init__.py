"""ELIR, the restorer itself: networks, checkpoints, losses, training, restoring.

``Elir`` and ``load_checkpoint`` are loaded on first use: importing torch takes seconds that ``--help`` does not have.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compress.elir.checkpoint import load_checkpoint
    from compress.elir.model import Elir

__all__ = ["Elir", "load_checkpoint"]


def __getattr__(name: str) -> Any:
    if name == "Elir":
        from compress.elir.model import Elir

        return Elir
    if name == "load_checkpoint":
        from compress.elir.checkpoint import load_checkpoint

        return load_checkpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
