"""The noise that artifacts hold: normal, and seeds that pick windows of it."""

import numpy as np
import pytest

from compress.elir.noise_torus import (
    COLUMNS,
    MOST_SEED,
    PERIOD,
    ROWS,
    STEP,
    check_seed,
    noise_torus,
    noise_window,
    tile_seed,
)
from compress.errors import InputError

TILE = (256, 256)
PLACES = np.arange(16 * PERIOD).reshape(1, 16, ROWS, COLUMNS)


def test_it_is_normal_and_of_its_seed() -> None:
    torus = noise_torus(0)
    values = torus * STEP
    assert torus.shape == (1, 16, ROWS, COLUMNS) and torus.dtype == np.int8
    assert abs(values.mean()) < 0.01 and abs(values.std() - 1) < 0.01
    assert abs((np.abs(values) < 1).mean() - 0.683) < 0.01
    assert np.corrcoef(torus.ravel(), noise_torus(1).ravel())[0, 1] < 0.01


def test_tiles_take_parts_of_one_noise() -> None:
    """What two tiles of a picture share is the same in both: noise that differed there would be blended away."""
    first, lower, right = (noise_window(PLACES, int(tile_seed(5, *at)[0]), TILE) for at in ((0, 0), (192, 0), (0, 192)))
    assert np.array_equal(first[:, :, 24:], lower[:, :, :8])
    assert np.array_equal(first[..., 24:], right[..., :8])
    assert not np.intersect1d(lower[:, :, 8:], first).size


def test_a_picture_repeats_its_noise_after_the_whole_torus() -> None:
    assert tile_seed(7, 8 * ROWS, 0) == tile_seed(7, 0, 8 * COLUMNS) == tile_seed(7, 0, 0) == 7
    assert len({int(tile_seed(7, 8 * y, 8 * x)[0]) for y in range(ROWS) for x in range(COLUMNS)}) == PERIOD


def test_ten_seeds_in_a_row_share_no_sample() -> None:
    for seed in (0, 126, MOST_SEED - 10):
        windows = [noise_window(PLACES, s, TILE)[0, 0] for s in range(seed, seed + 10)]
        assert len(np.unique(windows)) == 10 * 32 * 32


def test_a_seed_out_of_range() -> None:
    check_seed(0)
    check_seed(MOST_SEED)
    for seed in (-1, MOST_SEED + 1):
        with pytest.raises(InputError, match=rf"seed \(={seed}\) must be in \[0, 16777215\], which the artifact takes"):
            check_seed(seed)
