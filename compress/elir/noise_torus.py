"""A noise that is kept instead of drawn: its rows and columns wrap round, and a seed says which window of it is taken.

Artifacts of ``noise: seed`` hold one. What a seed picks is computed in small integers, so that every runtime picks the
same: the largest seed is what OpenVINO's CPU plugin, which divides integers as float32, still divides exactly.
"""

import functools
from collections.abc import Sequence

import numpy as np

from compress.elir.latent import LATENT_CHANNELS, LATENT_STRIDE, noise_shape
from compress.errors import InputError

ROWS, COLUMNS = 127, 128
"""Without a common divisor: each pair of a row and a column is that of one seed below ``PERIOD``. 8 px a sample: the
noise repeats after 1016 px down and 1024 px across."""
PERIOD = ROWS * COLUMNS
MOST_SEED = 2**24 - 1
ROW_FACTOR, COLUMN_FACTOR = 116, 95
"""A seed's window starts at row 116 s, column 95 s: those of ten seeds in a row share no sample at 256 px."""
ROW_STEP, COLUMN_STEP = 2944, 12319
"""What to add to a seed for the window one row further down, or one column to the right."""
STEP = np.float32(1 / 32)
"""Step between values, which are kept in 8 bits: they reach at most 127 / 32, 4 standard deviations."""


@functools.cache
def noise_torus(seed: int) -> np.ndarray:
    """(1, 16, ``ROWS``, ``COLUMNS``) int8: standard normal numbers in units of ``STEP``."""
    shape = (1, LATENT_CHANNELS, ROWS, COLUMNS)
    normal = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return np.rint(normal / STEP).clip(-127, 127).astype(np.int8)


def noise_window(torus: np.ndarray, seed: int, size: Sequence[int]) -> np.ndarray:
    """The noise (1, 16, H/8, W/8) float32 that ``seed`` picks for a tile of ``size``, its height and width in px."""
    height, width = noise_shape(*size)[2:]
    rows = (ROW_FACTOR * (seed % ROWS) + np.arange(height)) % ROWS
    columns = (COLUMN_FACTOR * (seed % COLUMNS) + np.arange(width)) % COLUMNS
    return torus[:, :, rows[:, None], columns] * STEP


def tile_seed(seed: int, top: int, left: int) -> np.ndarray:
    """The seed of a picture's tile, (1,) int64: with it, the tile at row ``top`` and column ``left``, in px, takes its
    part of one noise that lies under the whole picture. ``seed``: of the tile at the top left."""
    return np.array([(seed + top // LATENT_STRIDE * ROW_STEP + left // LATENT_STRIDE * COLUMN_STEP) % PERIOD], np.int64)


def check_seed(seed: int) -> None:
    """Raise InputError for a seed that an artifact does not take."""
    if not 0 <= seed <= MOST_SEED:
        raise InputError(f"seed (={seed}) must be in [0, {MOST_SEED}], which the artifact takes: give another")
