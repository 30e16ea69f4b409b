"""Enlargement by matrix products is Pillow's, byte for byte."""

import numpy as np
import pytest
from PIL import Image

from compress.artifacts.export.enlargement import FILTERS, HALF, STEP, Enlargement
from compress.data.degradations import ENLARGEMENTS, enlarge


def along(x: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return np.floor(x @ upper + np.floor(x @ lower + np.float32(HALF)) / np.float32(STEP)).clip(0, 255)


@pytest.mark.parametrize("by", ENLARGEMENTS)
@pytest.mark.parametrize(("scale", "size"), [(2, 32), (4, 8), (4, 64), (8, 32)])
def test_pillows_own_bytes(scale: int, size: int, by: str) -> None:
    rng = np.random.default_rng(size)
    noisy = rng.integers(0, 256, (size, size, 3), np.uint8)
    extremes = rng.integers(0, 2, (size, size, 3), np.uint8) * np.uint8(255)  # overshoots are clipped
    weights = Enlargement(scale, by).weights(size)
    for picture in (noisy, extremes):
        rows = along(picture.transpose(2, 0, 1).astype(np.float32), *weights)
        columns = along(rows.transpose(0, 2, 1), *weights).transpose(2, 1, 0)
        assert np.array_equal(columns, np.asarray(enlarge(Image.fromarray(picture), scale, by)))


def test_every_enlargement_of_the_training_data_has_its_filter() -> None:
    assert FILTERS.keys() == ENLARGEMENTS.keys()


@pytest.mark.parametrize("by", ENLARGEMENTS)
def test_float16_holds_the_weights(by: str) -> None:
    """A file that stores them in it loses nothing; nor does a sum of their products, in any order, in float32."""
    for part in Enlargement(4, by).weights(64):
        assert np.array_equal(part.astype(np.float16).astype(np.float32), part)
        assert np.array_equal(part * 2**12, np.round(part * 2**12))
        assert 255 * np.abs(part).sum(0).max() * 2**12 < 2**23
