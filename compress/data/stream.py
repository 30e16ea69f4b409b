"""A hub data set as an endless, seeded stream of training pictures, of which a few are in memory."""

import io
from collections import deque
from collections.abc import Container, Iterator
from itertools import islice
from typing import Any

import numpy as np

from compress.data.census import Census
from compress.data.sources import picture_file, shuffled_rows
from compress.errors import InputError
from compress.recipe.train import StreamSource

WINDOW = 2  # sides kept of a picture, in ``min_side``: a crop that is halved needs two


class PictureStream:
    """``pool(order, step)`` -> the pictures of rows ``renew * step`` to ``renew * step + pool`` of the stream.

    Which they are follows from the seed, ``order`` and ``step`` alone. Going on costs the new rows only; going back, or
    starting in the middle as a resumed run does, reads the rows before again, without decoding them.
    Of a large picture a window is kept, ``WINDOW * min_side`` px a side, drawn by the seed: memory is bounded.
    Rows that cannot be read, are smaller than ``min_side``, or are in ``held_back`` (``pixels_sha256``) are left out.
    """

    def __init__(self, source: StreamSource, seed: int, min_side: int, held_back: Container[str]) -> None:
        self.source, self.seed, self.min_side, self.held_back = source, seed, min_side, held_back
        self.name = f"{source.name}[{source.split}]"
        self.census = Census()
        self._order = -1
        self._first = 0  # number of the row that ``_held`` begins with
        self._held: deque[np.ndarray | None] = deque()
        self._rows: Iterator[dict[str, Any]] = iter(())

    def pool(self, order: int, step: int) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8, at most ``source.pool`` of them.

        Raises InputError when the hub cannot be read, or when none of the rows can be used.
        """
        first = self.source.renew * step
        if order != self._order or first < self._first:
            self._open(order)
        self._go_on(first)
        pictures = [picture for picture in self._held if picture is not None]
        if not pictures:
            raise InputError(
                f"{self.name}: no picture of {self.min_side} px or more a side in rows {first} to "
                f"{first + self.source.pool}: use another set, a larger pool or smaller crops"
            )
        return pictures

    def _open(self, order: int) -> None:
        seed = int(np.random.SeedSequence((self.seed, order)).generate_state(1)[0])
        self._rows = shuffled_rows(self.source, seed)
        self._order, self._first = order, 0
        self._held.clear()

    def _go_on(self, first: int) -> None:
        while self._held and self._first < first:
            self._held.popleft()
            self._first += 1
        for _ in islice(self._rows, first - self._first):
            self._first += 1
        for row in islice(self._rows, self.source.pool - len(self._held)):
            number = self._first + len(self._held)
            file = io.BytesIO(picture_file(self.source, row))
            picture = self.census.take(file, f"row {number}", self.min_side, self.held_back)
            self._held.append(None if picture is None else self._window(number, picture))

    def _window(self, number: int, picture: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng((self.seed, self._order, number))
        sides = [min(n, WINDOW * self.min_side) for n in picture.shape[:2]]
        y, x = (int(rng.integers(n - side + 1)) for n, side in zip(picture.shape[:2], sides, strict=True))
        return picture[y : y + sides[0], x : x + sides[1]].copy()
