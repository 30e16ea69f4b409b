import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import convolve as direct

from compress.data.pixels import convolve, jpeg, resize, to_8_bits


def test_to_8_bits_rounds_and_clips() -> None:
    assert to_8_bits(np.array([-3.0, 0.6, 254.4, 300.0])).tolist() == [0, 1, 254, 255]


def test_convolution_is_the_direct_one_with_mirrored_borders(photo: np.ndarray) -> None:
    """A kernel without symmetry: a correlation would differ."""
    kernel = np.random.default_rng(0).random((5, 7))
    picture = photo[:40, :30]
    wanted = np.stack([direct(picture[..., c].astype(float), kernel, mode="mirror") for c in range(3)], axis=-1)
    assert convolve(picture, kernel) == pytest.approx(wanted, abs=1e-6)


def test_a_kernel_larger_than_the_picture_keeps_a_flat_one() -> None:
    assert convolve(np.full((5, 9, 3), 70.0), np.full((41, 41), 1 / 41**2)) == pytest.approx(np.full((5, 9, 3), 70.0))


def test_resizing_is_pillows_without_its_rounding(photo: np.ndarray) -> None:
    ours = resize(photo, 100, 70, Image.Resampling.BILINEAR)
    theirs = np.asarray(Image.fromarray(photo).resize((70, 100), Image.Resampling.BILINEAR))
    assert ours.shape == (100, 70, 3)
    assert 0 < np.abs(ours - theirs).max() <= 1
    assert resize(photo, 0, 0, Image.Resampling.BOX).shape == (1, 1, 3)


def test_jpeg_keeps_a_flat_picture() -> None:
    flat = np.full((19, 33, 3), 128, dtype=np.uint8)
    assert (jpeg(flat, 50) == flat).all()
