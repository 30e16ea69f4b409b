"""NIQE against an independent implementation's stored values."""

import numpy as np
import pytest
from skimage import data

from compress.data.sets import load_set
from compress.measure.niqe import niqe

# calculate_niqe of BasicSR 1.4.2's own source files, crop_border 4, on photos_validation: (clean, bicubic x4).
BASICSR = {
    "astronaut_1": (5.17925, 7.82943),
    "fig_1": (3.94744, 7.49273),
    "stream_1": (3.41898, 7.60222),
    "grey_2": (12.69354, 9.21750),
}


@pytest.mark.parametrize("name", BASICSR)
def test_bundled_photographs_agree_with_basicsr(name: str) -> None:
    item = next(item for item in load_set("photos_validation", "sr_x4") if item.name == name)
    assert (niqe(item.clean, 4), niqe(item.degraded, 4)) == pytest.approx(BASICSR[name], abs=0.005)


@pytest.mark.parametrize(("name", "expected"), [("chelsea", 2.62554), ("coffee", 4.11524)])
def test_pictures_of_many_blocks_agree_with_basicsr(name: str, expected: float) -> None:
    assert niqe(getattr(data, name)()) == pytest.approx(expected, abs=0.001)


def test_what_lies_outside_whole_blocks_and_the_border_does_not_count() -> None:
    picture = data.chelsea()
    height, width = (side // 96 * 96 for side in picture.shape[:2])
    assert niqe(picture) == niqe(picture[:height, :width])
    framed = np.pad(picture, ((5, 5), (5, 5), (0, 0)))
    assert niqe(framed, border=5) == niqe(picture)


def test_noise_and_blur_are_less_natural() -> None:
    from scipy.ndimage import gaussian_filter

    clean = data.chelsea()
    noisy = (clean + np.random.default_rng(0).normal(0, 25, clean.shape)).clip(0, 255).astype(np.uint8)
    result = [niqe(picture) for picture in (clean, noisy, gaussian_filter(clean, (2, 2, 0)))]
    assert None not in result
    assert result[0] == min(result)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("side", "border", "given"), [(192, 0, True), (191, 0, False), (200, 4, True), (199, 4, False)]
)
def test_two_blocks_a_side_are_needed(photo: np.ndarray, side: int, border: int, given: bool) -> None:
    for picture in (photo[:side], photo[:, :side]):
        assert (niqe(picture, border) is not None) == given


def test_a_flat_picture_has_none() -> None:
    assert niqe(np.full((192, 288, 3), 77, dtype=np.uint8)) is None


def test_floats_are_refused(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\) uint8"):
        niqe(photo.astype(np.float32))
