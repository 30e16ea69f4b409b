import numpy as np
import pytest
from PIL import Image
from scipy.special import ndtr

from compress.data.degradations import degrade, enlarge, shrink
from compress.errors import InputError
from compress.schema import Blur, GaussianNoise, Jpeg, SuperResolution

EVERY = [SuperResolution(scale=4), GaussianNoise(sigma=15), Blur(sigma=1.2), Jpeg(quality=60)]


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel, a = -0.5."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def matlab_weights(size: int, out: int) -> np.ndarray:
    """(out, size): the weights of MATLAB's imresize(..., 'bicubic') along one side, borders mirrored."""
    factor = size / out
    width = max(1.0, factor)
    weights = np.zeros((out, size))
    for i in range(out):
        middle = (i + 0.5) * factor - 0.5
        taps = np.arange(int(np.floor(middle - 2 * width)), int(np.ceil(middle + 2 * width)) + 1)
        values = cubic((taps - middle) / width)
        mirrored = np.where(taps % (2 * size) < size, taps % (2 * size), 2 * size - 1 - taps % (2 * size))
        np.add.at(weights[i], mirrored, values / values.sum())
    return weights


def matlab_resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """8 bits after each of the two passes."""
    rows, columns = matlab_weights(picture.shape[0], height), matlab_weights(picture.shape[1], width)
    half = np.einsum("jw,hwc->hjc", columns, picture.astype(float)).round().clip(0, 255)
    return np.einsum("ih,hjc->ijc", rows, half).round().clip(0, 255)


def roughness(picture: np.ndarray) -> float:
    return float(np.abs(np.diff(picture.astype(int), axis=1)).mean())


def test_bicubic_is_matlabs_but_for_the_borders(photo: np.ndarray) -> None:
    small = np.asarray(shrink(Image.fromarray(photo), 4)).astype(float)
    difference = np.abs(small - matlab_resize(photo, 64, 64))
    assert difference[2:-2, 2:-2].max() <= 1
    assert difference.max() > 1

    large = np.asarray(enlarge(Image.fromarray(photo[:64, :64]), 4)).astype(float)
    assert np.abs(large - matlab_resize(photo[:64, :64], 256, 256))[8:-8, 8:-8].max() <= 1


def test_shrinking_a_flat_picture_keeps_its_value() -> None:
    flat = np.full((16, 24, 3), 77, dtype=np.uint8)
    assert (np.asarray(shrink(Image.fromarray(flat), 4)) == 77).all()
    assert (degrade(flat, [SuperResolution(scale=4)], seed=0) == flat).all()


def test_shrinking_is_antialiased() -> None:
    """Columns of 0 and 255 in turn: a kernel that skips pixels would give black or white, not grey."""
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    inner = np.asarray(shrink(Image.fromarray(stripes), 4))[4:-4, 4:-4]
    assert inner.min() >= 126 and inner.max() <= 129


def test_sr_keeps_the_grid_and_loses_detail(photo: np.ndarray) -> None:
    degraded = degrade(photo, [SuperResolution(scale=4)], seed=0)
    assert degraded.shape == photo.shape and degraded.dtype == np.uint8
    assert roughness(degraded) < 0.7 * roughness(photo)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_sr_needs_sides_that_are_multiples_of_the_scale(scale: int) -> None:
    picture = np.zeros((64, 64 + scale // 2, 3), dtype=np.uint8)
    message = f"picture of {64 + scale // 2} x 64 px: sides must be multiples of scale {scale}: crop it first"
    with pytest.raises(InputError, match=message):
        degrade(picture, [SuperResolution(scale=scale)], seed=0)


def test_noise_has_its_sigma_and_no_bias() -> None:
    grey = np.full((256, 256, 3), 128, dtype=np.uint8)
    noise = degrade(grey, [GaussianNoise(sigma=10)], seed=1).astype(float) - 128
    assert abs(noise.mean()) < 0.1
    # Rounding to whole levels adds a variance of 1/12.
    assert noise.std() == pytest.approx(np.sqrt(100 + 1 / 12), rel=0.01)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_noise_is_clipped_not_wrapped() -> None:
    white = np.full((64, 64, 3), 255, dtype=np.uint8)
    assert degrade(white, [GaussianNoise(sigma=10)], seed=1).min() > 200


def test_blur_of_a_step_is_the_normal_distribution() -> None:
    step = np.zeros((32, 64, 3), dtype=np.uint8)
    step[:, 32:] = 200
    row = degrade(step, [Blur(sigma=3.0)], seed=0)[16, :, 0].astype(float)
    expected = 200 * ndtr((np.arange(64) - 31.5) / 3.0)
    assert np.abs(row - expected).max() <= 3


def test_jpeg_is_worse_at_lower_quality(photo: np.ndarray) -> None:
    errors = [np.abs(degrade(photo, [Jpeg(quality=q)], seed=0).astype(int) - photo).mean() for q in (90, 50, 10)]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_steps_run_in_order(photo: np.ndarray) -> None:
    blur, noise = Blur(sigma=2.0), GaussianNoise(sigma=20)
    smooth_last = degrade(photo, [noise, blur], seed=0)
    noisy_last = degrade(photo, [blur, noise], seed=0)
    assert (noisy_last == degrade(degrade(photo, [blur], 0), [noise], 0)).all()
    assert roughness(smooth_last) < roughness(noisy_last)


def test_the_same_seed_gives_the_same_picture(photo: np.ndarray) -> None:
    first = degrade(photo, EVERY, seed=3)
    assert (first == degrade(photo, EVERY, seed=3)).all()
    assert (first != degrade(photo, EVERY, seed=4)).any()


def test_no_steps_change_nothing(photo: np.ndarray) -> None:
    assert (degrade(photo, [], seed=0) == photo).all()
