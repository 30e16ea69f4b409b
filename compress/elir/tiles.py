"""Tiles over a picture of any size: where they start, how they blend, what lies beyond the picture's edge.

Tiles start at multiples of 32 px, where every stride of the networks has the same phase: what two tiles compute for a
shared pixel differs only by what they see around it.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from compress.elir.latent import LATENT_STRIDE, SIZE_MULTIPLE, on_grid
from compress.errors import InputError, VerificationError

DEFAULT_TILE = 256
DEFAULT_OVERLAP = 64
TINY = 1e-6  # least weight: where three tiles meet, the sum must not vanish


@dataclass(frozen=True)
class Axis:
    """Tiles along one side of ``size`` px, padded to ``padded``: each ``tile`` px long, one at each of ``starts``.

    A ``tile`` off the grid belongs to a model that pads its tiles itself: the latent's windows are those of its padded
    tile.
    """

    size: int
    tile: int
    padded: int
    starts: tuple[int, ...]

    def source(self, unit: int = 1) -> np.ndarray:
        """Index of the sample that each padded one mirrors: (padded / unit,) int.

        With ``unit`` 8 (latents) the picture's last, partly filled 32 px count as inside, and so does what the model
        pads the last tile with.
        """
        inside, padded = self.size, self.padded
        if unit > 1:
            inside, padded = on_grid(self.size) // unit, (self.padded - self.tile + on_grid(self.tile)) // unit
        # numpy reflects again and again when the padding is longer than the side, and repeats a single sample.
        return np.pad(np.arange(inside), (0, padded - inside), mode="reflect")

    def reduced(self, scale: int) -> np.ndarray:
        """As ``source``, of a picture ``scale`` times smaller, which is padded before it is enlarged: its samples.

        The last sample is repeated: mirrored at its edge, not at its centre, the enlarged picture is mirrored where
        ``source`` mirrors it, to half a px, and the kernel sees near the edge about what it would see without padding.
        """
        if scale == 1:
            return self.source()
        inside = self.size // scale
        return np.pad(np.arange(inside), (0, self.padded // scale - inside), mode="symmetric")

    def weights(self, unit: int = 1) -> np.ndarray:
        """Weight of each sample of each tile, (tiles, tile / unit) float32; they sum to one wherever tiles overlap.

        Over what two tiles share: nothing in the outer quarter, whose sight is cut short, then a raised cosine.
        """
        starts, tile = [start // unit for start in self.starts], self.tile // unit
        weights = np.ones((len(starts), tile))
        for i in range(len(starts) - 1):
            shared = starts[i] + tile - starts[i + 1]
            at = (np.arange(shared) + 0.5) / max(1, shared) * 2 - 0.5
            ramp = np.maximum(0.5 - 0.5 * np.cos(np.pi * at.clip(0, 1)), TINY)
            weights[i, tile - shared :] *= ramp[::-1]
            weights[i + 1, :shared] *= ramp
        total = np.zeros(self.padded // unit)
        for start, weight in zip(starts, weights, strict=True):
            total[start : start + tile] += weight
        return np.stack([w / total[s : s + tile] for s, w in zip(starts, weights, strict=True)]).astype(np.float32)


def plan_axis(size: int, tile: int, overlap: int, *, fixed: bool) -> Axis:
    """Tiles over ``size`` px, neighbours sharing at least ``overlap`` px.

    ``tile`` 0 takes the whole side at once. ``fixed``: the model takes no other size, so a smaller picture is padded
    to it. Raises InputError for a tile off the grid, unless ``fixed``, or an overlap that leaves no step.
    """
    if tile < 0 or (tile % SIZE_MULTIPLE and not fixed):
        raise InputError(
            f"tile (={tile}) must be 0 (the whole picture) or a multiple of {SIZE_MULTIPLE} px: use {DEFAULT_TILE}"
        )
    if not tile or (tile > on_grid(size) and not fixed):
        tile = on_grid(size)
    whole = tile + on_grid(max(0, size - tile))  # the last tile, too, starts on the grid
    if whole == tile:
        return Axis(size, tile, tile, (0,))
    if overlap % LATENT_STRIDE or not 0 <= overlap <= tile - SIZE_MULTIPLE:
        most = tile - SIZE_MULTIPLE
        raise InputError(
            f"overlap (={overlap}) must be a multiple of {LATENT_STRIDE} px from 0 to {most} for tiles of {tile} px: "
            f"use {min(DEFAULT_OVERLAP, most)}"
        )
    step = (tile - overlap) // SIZE_MULTIPLE * SIZE_MULTIPLE
    return Axis(size, tile, whole, (*range(0, whole - tile, step), whole - tile))


@dataclass(frozen=True)
class Plan:
    """Tiles of a picture."""

    rows: Axis
    columns: Axis

    @property
    def tiles(self) -> int:
        """How many."""
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def windows(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each tile, in px of the padded picture: row by row, from left to right."""
        rows, columns = self.rows, self.columns
        for top in rows.starts:
            for left in columns.starts:
                yield slice(top, top + rows.tile), slice(left, left + columns.tile)


def plan(
    height: int, width: int, tile: tuple[int, int], overlap: int = DEFAULT_OVERLAP, *, fixed: bool = False
) -> Plan:
    """Tiles of ``tile`` (height, width) px for a picture of height x width px; see ``plan_axis``."""
    return Plan(plan_axis(height, tile[0], overlap, fixed=fixed), plan_axis(width, tile[1], overlap, fixed=fixed))


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut: into tiles of ``tile`` (height, width) px of the output, 0 being the whole side, of which
    neighbours share ``overlap`` px. ``scale``: by how much pictures are enlarged; ``fixed``: the model takes this tile
    only.
    """

    scale: int = 1
    tile: tuple[int, int] = (DEFAULT_TILE, DEFAULT_TILE)
    overlap: int = DEFAULT_OVERLAP
    fixed: bool = False

    def plan(self, height: int, width: int) -> Plan:
        """The tiles over the output of a picture of height x width px. Raises InputError as ``plan_axis``."""
        return plan(height * self.scale, width * self.scale, self.tile, self.overlap, fixed=self.fixed)

    def computed(self, height: int, width: int) -> int:
        """Pixels of the output that the tiles of a picture of height x width px have in all. Raises as ``plan``."""
        tiles = self.plan(height, width)
        return tiles.tiles * tiles.rows.tile * tiles.columns.tile


DEFAULT = Tiling()

Compute = Callable[[slice, slice], np.ndarray]
"""Rows and columns of the padded picture, in px -> (channels, tile height / unit, tile width / unit) float32."""


OnTile = Callable[[], None]


def quiet() -> None:
    """An ``OnTile`` that nobody listens to."""


def _parts(tiles: Plan, compute: Compute, streams: int) -> Generator[np.ndarray]:
    """Each tile, in the order of ``Plan.windows``, whatever the order in which they are done.

    Twice ``streams`` are begun at most before the first of them is taken: a thread that is done finds its next tile
    while others are blended.
    """
    if streams == 1:
        yield from (compute(y, x) for y, x in tiles.windows)
        return
    begun: deque[Future[np.ndarray]] = deque()
    pool = ThreadPoolExecutor(streams)
    try:
        for y, x in tiles.windows:
            begun.append(pool.submit(compute, y, x))
            if len(begun) == 2 * streams:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        # A tile that fails, or an interrupt, ends the others: without this they would all be computed first.
        pool.shutdown(cancel_futures=True)


def blend(
    tiles: Plan, channels: int, compute: Compute, unit: int = 1, *, streams: int = 1, on_tile: OnTile = quiet
) -> Iterator[tuple[int, np.ndarray]]:
    """Finished rows from top to bottom: (first row, (channels, rows, padded width / unit) float32).

    ``streams`` tiles are computed at once, by a thread each; they are added in their order, so that the sums do not
    depend on it. ``on_tile`` is called as each is there, by the caller's thread. One row of tiles is held at a time; a
    strip is valid until the next is asked for.
    """
    rows = tiles.rows
    height, width = rows.tile // unit, tiles.columns.padded // unit
    band = np.zeros((channels, height, width), np.float32)
    with closing(_parts(tiles, compute, streams)) as parts:
        announced = _announced(parts, on_tile)
        for start, end, down in zip(rows.starts, (*rows.starts[1:], rows.padded), rows.weights(unit), strict=True):
            _add_row(band, tiles, (start, down), announced, unit)
            done = (end - start) // unit
            yield start // unit, band[:, :done]
            band[:, : height - done] = band[:, done:].copy()
            band[:, height - done :] = 0


def _announced(parts: Iterator[np.ndarray], on_tile: OnTile) -> Iterator[np.ndarray]:
    for part in parts:
        on_tile()
        yield part


def _add_row(
    band: np.ndarray, tiles: Plan, row: tuple[int, np.ndarray], parts: Iterator[np.ndarray], unit: int
) -> None:
    """``row``: where the row of tiles starts, and its weights downwards."""
    columns, (top, down) = tiles.columns, row
    for start, across in zip(columns.starts, columns.weights(unit), strict=True):
        part = next(parts)
        if not np.isfinite(part).all():
            raise VerificationError(
                f"the model gives NaN or Inf for the tile at row {top}, column {start}: check it (compress verify)"
            )
        band[:, :, start // unit : (start + columns.tile) // unit] += part * (down[:, None] * across)
