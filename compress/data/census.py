"""What became of the pictures of a source: read as they are, converted, skipped."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from compress.data.picture import read_picture
from compress.data.samples import UnknownRange
from compress.data.sets import pixels_sha256
from compress.errors import InputError


@dataclass
class Census:
    """Counts by what a picture was converted from, and by why one was skipped, each with the first one's name."""

    read: int = 0
    converted: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def take(
        self, file: Path | BinaryIO, name: str, min_side: int, held_back: Container[str] = frozenset()
    ) -> np.ndarray | None:
        """Count ``file``: its picture, (H, W, 3) uint8, or None where it is skipped: one that cannot be read, that has
        a side below ``min_side`` px, or whose pixels (``pixels_sha256``) are ``held_back`` for validation.
        """
        try:
            whole = read_picture(file, name, metadata=False)
        except UnknownRange:
            self._skip("of unknown range", name)
            return None
        except InputError:
            self._skip("unreadable", name)
            return None
        picture, kind = whole.rgb, whole.kind or ("the first of several frames" if whole.frames > 1 else "")
        if why := _unfit(picture, min_side, held_back):
            self._skip(why, name)
            return None
        self.read += 1
        if kind:
            self.converted[kind] += 1
        return picture

    def _skip(self, why: str, name: str) -> None:
        self.skipped[why] += 1
        self.first.setdefault(why, name)

    @property
    def in_words(self) -> str:
        """``201 read; 2 converted (1 grey, 1 CMYK), 2 skipped (1 unreadable: x.png, 1 under 160 px: y.png)``."""
        converted = ", ".join(f"{n} {kind}" for kind, n in self.converted.items())
        changes = self._changes(f" ({converted})", f" ({self.why_skipped})")
        return f"{self.read} read; {changes}" if changes else f"{self.read} read"

    @property
    def in_short(self) -> str:
        """``2 converted, 2 skipped``; empty where every picture was taken as it is."""
        return self._changes("", "")

    @property
    def why_skipped(self) -> str:
        """``1 unreadable: x.png, 3 under 160 px, first: y.png``."""
        return ", ".join(f"{n} {why}{', first' if n > 1 else ''}: {self.first[why]}" for why, n in self.skipped.items())

    def _changes(self, converted: str, skipped: str) -> str:
        parts = [f"{self.converted.total()} converted{converted}"] if self.converted else []
        parts += [f"{self.skipped.total()} skipped{skipped}"] if self.skipped else []
        return ", ".join(parts)


def _unfit(picture: np.ndarray, min_side: int, held_back: Container[str]) -> str:
    if min(picture.shape[:2]) < min_side:
        return f"under {min_side} px"
    return "of the validation set" if pixels_sha256(picture) in held_back else ""
