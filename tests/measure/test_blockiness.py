import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from compress.measure.blockiness import VISIBLE, blockiness

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")


def as_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_it_grows_as_the_quality_falls_and_only_visible_blocks_pass(name: str) -> None:
    picture = getattr(data, name)()
    clean, fine, coarse, ugly = blockiness(picture), *(blockiness(as_jpeg(picture, q)) for q in (90, 30, 15))
    assert max(clean, fine) < VISIBLE < coarse < ugly


def test_blocks_of_a_cropped_picture_are_found(photo: np.ndarray) -> None:
    coarse = as_jpeg(photo, 30)
    assert blockiness(coarse[3:, 5:]) == pytest.approx(blockiness(coarse), abs=0.1)


def test_a_picture_of_half_the_size_has_them_no_more(photo: np.ndarray) -> None:
    half = np.asarray(Image.fromarray(as_jpeg(data.astronaut(), 30)).reduce(2))
    assert blockiness(half) < VISIBLE


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.full((16, 200, 3), 7, np.uint8),
        np.kron(np.indices((16, 16)).sum(0) % 2, np.ones((8, 8)))[..., None].repeat(3, 2).astype(np.uint8) * 255,
        np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8),
    ],
)
def test_flat_tiny_drawn_and_noisy_pictures_have_none(picture: np.ndarray) -> None:
    assert blockiness(picture) < VISIBLE
