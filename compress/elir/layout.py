"""The autoencoder's layout, read from a checkpoint's names and shapes: channels and blocks of each resolution."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from compress.elir.autoencoder import DEC_BLOCKS, DEC_WIDTHS, ENC_BLOCKS, ENC_WIDTHS
from compress.errors import VerificationError

HALVINGS = 3  # of the autoencoder
MAX_BLOCKS = 16  # a resolution


@dataclass(frozen=True)
class Layout:
    """``scale``: how much coarser than the picture the encoder starts; 1 for a decoder."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    scale: int = 1


PUBLISHED = {"enc": Layout(ENC_WIDTHS, ENC_BLOCKS), "dec": Layout(DEC_WIDTHS, DEC_BLOCKS)}


def read_layout(state: Mapping[str, Tensor], net: str, path: Path) -> Layout:
    """Layout of ``net`` (``enc`` or ``dec``) in a flat state: each convolution but the last opens a resolution.

    A state that lacks the net, or parts of it, gets the published layout; an error then names what differs.
    Raises VerificationError for a layout that no network of ours has.
    """
    widths: list[int] = []
    blocks: list[int] = []
    for index in sorted(_indices(state, net)):
        if (conv := state.get(f"{net}.layers.{index}.weight")) is not None:
            widths.append(conv.shape[0] if conv.ndim == 4 else 0)
            blocks.append(0)
        elif blocks:
            blocks[-1] += 1
    first = state.get(f"{net}.layers.0.weight")
    if first is None or first.ndim != 4 or len(widths) < 2:
        return PUBLISHED[net]
    scale = 1 if net == "dec" or first.shape[-1] == 3 else first.shape[-1] // 2
    layout = Layout(tuple(widths[:-1]), tuple(blocks[:-1]), scale)
    if not (_fits(layout) if net == "enc" else len(layout.widths) == HALVINGS + 1):
        raise VerificationError(
            f"{path}: checkpoint of another architecture: {net} has {len(layout.widths)} resolutions and starts at a "
            f"kernel of {first.shape[-1]}: get an ELIR checkpoint"
        )
    if not all(layout.widths) or max(layout.blocks) > MAX_BLOCKS:
        raise VerificationError(
            f"{path}: checkpoint of another architecture: {net} has no channels, or too many blocks"
        )
    return layout


def _fits(layout: Layout) -> bool:
    """Whether the strides of the encoder come to 8."""
    return layout.scale * 2 ** (len(layout.widths) - 1) == 2**HALVINGS


def _indices(state: Mapping[str, Tensor], net: str) -> set[int]:
    return {int(match[1]) for name in state if (match := re.match(rf"{net}\.layers\.([0-9]{{1,9}})\.", name))}
