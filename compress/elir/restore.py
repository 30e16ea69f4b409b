"""Restoring a picture of any size: enlarge, pad by reflection, tile, blend, crop.

``restore`` runs a whole model, tile by tile: what one graph of a fixed size allows. GroupNorm then normalises over a
tile where it would normalise over the picture. ``restore_staged`` needs the networks apart, as a checkpoint and a
staged artifact have them: encoder and decoder are tiled, the networks between them see the whole latent, 1/64 of the
pixels; tiles then hardly show (docs/restore.md).

``restore_bytes`` runs a whole model that takes and gives pictures of 8 bits, and enlarges them itself: tiles are cut
out of the picture on its own grid.

In all, one seeded noise field lies under the whole picture, the same however it is tiled; where a model holds its noise
itself and takes a seed, every tile gets the seed of its part of one.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from compress.elir.latent import LATENT_CHANNELS, LATENT_STRIDE, on_grid
from compress.elir.noise import noise_field
from compress.elir.noise_torus import check_seed, tile_seed
from compress.elir.tiles import DEFAULT, OnTile, Plan, Tiling, blend, quiet

if TYPE_CHECKING:
    from torch import Tensor

    from compress.elir.model import Elir

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""lq (1, 3, h, w) float32 in [0, 1], noise (1, 16, h/8, w/8) float32 -> hq (1, 3, h, w)."""

RunBytes = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""image (1, h / scale, w / scale, 3) uint8, noise (1, 16, h/8, w/8) float32 -> (1, h, w, 3) uint8."""

ReadNoise = Callable[[slice, slice], np.ndarray]
"""Rows and columns of a tile, in px of the padded picture -> what ``Run`` takes as its noise."""

Noise = Callable[[Plan], ReadNoise]
"""The noise under a picture that is cut as the plan says."""


class Networks(Protocol):
    """A model in three parts; all arrays are float32."""

    def encode(self, lq: np.ndarray) -> np.ndarray:
        """Tile (1, 3, h, w) in [0, 1] -> latent (1, 16, h/8, w/8)."""
        ...

    def flow(self, latent: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Latent and noise of a whole picture -> the latent to decode; all (1, 16, h, w), h and w multiples of 4."""
        ...

    def decode(self, latent: np.ndarray, lq: np.ndarray) -> np.ndarray:
        """Latent (1, 16, h/8, w/8) and the tile that was encoded -> hq (1, 3, h, w)."""
        ...


class TorchNetworks:
    """``Networks`` of a torch model."""

    def __init__(self, model: "Elir") -> None:
        self.model = model

    def encode(self, lq: np.ndarray) -> np.ndarray:
        return self._run(self.model.enc, lq)

    def flow(self, latent: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return self._run(self.model.flow, latent, noise)

    def decode(self, latent: np.ndarray, lq: np.ndarray) -> np.ndarray:
        return self._run(self.model.decode, latent, lq)

    @staticmethod
    def _run(network: Callable[..., "Tensor"], *inputs: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return network(*map(torch.from_numpy, inputs)).numpy()


def enlarge(picture: np.ndarray, scale: int) -> np.ndarray:
    """Bicubic enlargement (Pillow's kernel, as in training) of (H, W, 3) uint8 by a whole factor."""
    if scale == 1:
        return picture
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((width * scale, height * scale), Image.Resampling.BICUBIC))


def drawn_noise(seed: int) -> Noise:
    """Windows (1, 16, h/8, w/8) float32 of a noise drawn for the whole picture, padded by reflection as it is."""

    def reader(tiles: Plan) -> ReadNoise:
        noise = noise_field(tiles.rows.size, tiles.columns.size, seed)
        rows, columns = tiles.rows.source(LATENT_STRIDE), tiles.columns.source(LATENT_STRIDE)

        def read(y: slice, x: slice) -> np.ndarray:
            window = noise[:, rows[_latent(y), None], columns[_latent(x)]][None]
            return np.ascontiguousarray(window)

        return read

    return reader


def tile_seeds(seed: int) -> Noise:
    """For models that hold a noise: the seed, (1,) int64, of every tile's window. Raises InputError for a ``seed`` that
    is out of range."""
    check_seed(seed)
    return lambda tiles: lambda y, x: tile_seed(seed, y.start, x.start)


NOISE = drawn_noise(0)


def restore(
    picture: np.ndarray,
    run: Run,
    tiling: Tiling = DEFAULT,
    *,
    noise: Noise = NOISE,
    on_tile: OnTile = quiet,
    streams: int = 1,
) -> np.ndarray:
    """Restore ``picture`` (H, W, 3) uint8 -> (scale H, scale W, 3) uint8, tile by tile.

    ``on_tile`` is called after each tile. ``streams``: how many tiles are computed at once, by a thread each; the
    picture is the same. Beside picture and output, one row of tiles and the noise (1 byte a pixel) are held. Raises
    InputError for an impossible tile or overlap.
    """
    lq, tiles = enlarge(picture, tiling.scale), tiling.plan(*picture.shape[:2])
    pixels, noise_at = _reader(lq, tiles), noise(tiles)

    def compute(y: slice, x: slice) -> np.ndarray:
        return run(pixels(y, x), noise_at(y, x))[0]

    return _collect(blend(tiles, 3, compute, streams=streams, on_tile=on_tile), lq.shape)


def restore_bytes(
    picture: np.ndarray,
    run: RunBytes,
    tiling: Tiling,
    *,
    noise: Noise = NOISE,
    on_tile: OnTile = quiet,
    streams: int = 1,
) -> np.ndarray:
    """As ``restore`` of a model of a fixed tile, by one that enlarges pictures itself.

    What lies beyond the picture's edge is mirrored before it is enlarged, by the edge: near it, the picture that the
    networks see differs a little from that of ``restore``.
    """
    scale, tiles = tiling.scale, tiling.plan(*picture.shape[:2])
    rows, columns = tiles.rows.reduced(scale), tiles.columns.reduced(scale)
    noise_at = noise(tiles)

    def compute(y: slice, x: slice) -> np.ndarray:
        window = picture[rows[_divided(y, scale), None], columns[_divided(x, scale)]][None]
        restored = run(np.ascontiguousarray(window), noise_at(y, x))[0]
        return restored.transpose(2, 0, 1).astype(np.float32) / 255

    shape = (scale * picture.shape[0], scale * picture.shape[1], 3)
    return _collect(blend(tiles, 3, compute, streams=streams, on_tile=on_tile), shape)


def restore_staged(
    picture: np.ndarray,
    networks: Networks,
    tiling: Tiling = DEFAULT,
    *,
    seed: int = 0,
    on_tile: OnTile = quiet,
    streams: int = 1,
) -> np.ndarray:
    """As ``restore``, by networks that are apart: only encoder and decoder are tiled.

    ``on_tile`` is called after each tile of the encoder, once for the flow, after each tile of the decoder. The
    networks on the whole latent hold some tens of bytes an output pixel.
    """
    lq, tiles = enlarge(picture, tiling.scale), tiling.plan(*picture.shape[:2])
    pixels = _reader(lq, tiles)

    def encode(y: slice, x: slice) -> np.ndarray:
        return networks.encode(pixels(y, x))[0]

    def decode(y: slice, x: slice) -> np.ndarray:
        window = latent[:, :, _divided(y, LATENT_STRIDE), _divided(x, LATENT_STRIDE)]
        return networks.decode(np.ascontiguousarray(window), pixels(y, x))[0]

    encoded = blend(tiles, LATENT_CHANNELS, encode, LATENT_STRIDE, streams=streams, on_tile=on_tile)
    strips = [strip.copy() for _, strip in encoded]
    noise = noise_field(tiles.rows.size, tiles.columns.size, seed)[None]
    # A picture smaller than a tile of fixed size was padded to it: the flow must not see that.
    inside = np.concatenate(strips, axis=1)[None, :, : noise.shape[2], : noise.shape[3]]
    rows, columns = tiles.rows.source(LATENT_STRIDE), tiles.columns.source(LATENT_STRIDE)
    latent = networks.flow(np.ascontiguousarray(inside), noise)[:, :, rows[:, None], columns]
    on_tile()
    return _collect(blend(tiles, 3, decode, streams=streams, on_tile=on_tile), lq.shape)


def _latent(pixels: slice) -> slice:
    """The samples under a tile, as the model pads it."""
    start = pixels.start // LATENT_STRIDE
    return slice(start, start + on_grid(pixels.stop - pixels.start) // LATENT_STRIDE)


def _divided(pixels: slice, unit: int) -> slice:
    return slice(pixels.start // unit, pixels.stop // unit)


def _reader(lq: np.ndarray, tiles: Plan) -> Callable[[slice, slice], np.ndarray]:
    """Windows of the picture (H, W, 3) uint8 padded by reflection -> (1, 3, h, w) float32; no padded copy is made."""
    rows, columns = tiles.rows.source(), tiles.columns.source()

    def read(y: slice, x: slice) -> np.ndarray:
        window = lq[rows[y, None], columns[x]].transpose(2, 0, 1)[None]
        return np.ascontiguousarray(window, np.float32) / 255

    return read


def _collect(strips: Iterable[tuple[int, np.ndarray]], shape: tuple[int, ...]) -> np.ndarray:
    """The rows that ``blend`` gives as a picture (H, W, 3) uint8, clipped, rounded half up, the padding cut off."""
    height, width = shape[:2]
    out = np.empty(shape, np.uint8)
    for top, strip in strips:
        inside = strip[:, : max(0, height - top), :width].clip(0, 1)
        out[top : top + inside.shape[1]] = (inside * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return out
