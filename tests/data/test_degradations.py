import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import ndtr
from scipy.stats import norm

from compress.data.degradations import degrade, draw, enlarge, motion_kernel, shrink
from compress.errors import InputError
from compress.recipe.degradation import (
    BlindFace,
    BlindSuperResolution,
    Blur,
    Degradation,
    GaussianNoise,
    Grey,
    Jpeg,
    Mask,
    MotionBlur,
    SuperResolution,
)
from compress.recipe.task import task_degradation

EVERY = [SuperResolution(scale=4), GaussianNoise(sigma=15), Blur(sigma=1.2), Jpeg(quality=60)]
RANDOM: list[Degradation] = [
    GaussianNoise(sigma=[15, 50]),
    Blur(sigma=[0.5, 3]),
    MotionBlur(),
    MotionBlur(path="line", size=15),
    Mask(),
    Mask(pattern="boxes"),
    Mask(pattern="strokes"),
    BlindSuperResolution(scale=4),
    BlindSuperResolution(scale=2),
    BlindSuperResolution(scale=4, second_order=0),
    BlindFace(),
    BlindFace(kernels="isotropic", uniform="side"),
]


def named(step: Degradation) -> str:
    return "-".join(str(v) for v in step.model_dump().values() if isinstance(v, str | int))


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


def test_noise_of_the_small_picture_is_enlarged_with_it() -> None:
    grey = np.full((256, 256, 3), 128, dtype=np.uint8)
    step = SuperResolution(scale=8, noise=12.8, enlargement="nearest-exact")
    tiles = degrade(grey, [step], seed=2).reshape(32, 8, 32, 8, 3)
    assert (tiles == tiles[:, :1, :, :1]).all()  # one value in each 8 x 8 px
    assert (tiles[:, 0, :, 0].astype(float) - 128).std() == pytest.approx(12.8, rel=0.03)


def test_the_published_sr_x8_is_torchs(photo: np.ndarray) -> None:
    """Enlargement by torch's nearest-exact, as published, of the noisy picture: Pillow's nearest gives the same."""
    small = np.asarray(shrink(Image.fromarray(photo), 8))
    noisy = (small + np.random.default_rng(4).normal(0, 12.8, small.shape)).round().clip(0, 255).astype(np.uint8)
    tensor = torch.from_numpy(noisy.transpose(2, 0, 1)[None])
    wanted = torch.nn.functional.interpolate(tensor, scale_factor=8, mode="nearest-exact")[0].numpy()
    assert (degrade(photo, task_degradation("sr_x8_published"), seed=4) == wanted.transpose(1, 2, 0)).all()


def test_enlargement_by_each_kernel(photo: np.ndarray) -> None:
    bicubic, bilinear, nearest = (
        degrade(photo, [SuperResolution(scale=4, enlargement=by)], seed=0)
        for by in ("bicubic", "bilinear", "nearest-exact")
    )
    assert roughness(bilinear) < roughness(bicubic) and (nearest[::4, ::4] == nearest[3::4, 3::4]).all()


def test_grey_is_bt601_luma_in_every_channel(photo: np.ndarray) -> None:
    grey = degrade(photo, [Grey()], seed=0)
    assert (grey == grey[..., :1]).all()
    assert np.abs(grey[..., 0] - photo @ np.array([0.299, 0.587, 0.114])).max() <= 1


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
    # Rounding, and a kernel of whole px cut at 4 sigma.
    assert np.abs(row - expected).max() <= 0.6


def test_blur_mirrors_the_borders() -> None:
    """A ramp mirrored without repeating its edge: what its first px becomes, by the normal density."""
    ramp = np.tile(np.arange(0, 128, dtype=np.uint8)[None, :, None] * 2, (8, 1, 3))
    weights = norm.pdf(np.arange(-20, 21) / 4.0)
    first = (weights * 2 * np.abs(np.arange(-20, 21))).sum() / weights.sum()
    assert degrade(ramp, [Blur(sigma=4)], seed=0)[4, 0, 0] == pytest.approx(first, abs=0.6)


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


def test_pictures_of_finished_runs_stay_as_they_were(photo: np.ndarray) -> None:
    """A set's hash holds settings, not pixels: equal hashes must go on meaning equal pixels."""
    image, buffer = Image.fromarray(photo), io.BytesIO()
    small = image.resize((64, 64), Image.Resampling.BICUBIC)
    bicubic = np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC))
    assert (degrade(photo, [SuperResolution(scale=4)], seed=5) == bicubic).all()

    noisy = photo.astype(np.float64) + np.random.default_rng(5).normal(0, 25, photo.shape)
    assert (degrade(photo, [GaussianNoise(sigma=25)], seed=5) == noisy.round().clip(0, 255)).all()

    image.save(buffer, "JPEG", quality=40)
    assert (degrade(photo, [Jpeg(quality=40)], seed=5) == np.asarray(Image.open(buffer).convert("RGB"))).all()


@pytest.mark.parametrize("step", RANDOM, ids=named)
def test_random_steps_keep_the_grid_and_follow_the_seed(photo: np.ndarray, step: Degradation) -> None:
    odd = np.concatenate([photo[:190], photo[:190, :1]], axis=1)
    before = odd.copy()
    first, again, other = (degrade(odd, [step], seed) for seed in (1, 1, 2))
    assert first.shape == odd.shape == (190, 257, 3) and first.dtype == np.uint8
    assert (first == again).all() and (first != other).any()
    assert (first != odd).any() and (odd == before).all()


def test_an_amount_is_drawn_uniformly_and_a_number_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    assert draw(25.0, rng) == 25 and rng.bit_generator.state == state
    drawn = np.array([draw([15, 50], rng) for _ in range(4000)])
    assert 15 <= drawn.min() < 15.2 and 49.8 < drawn.max() <= 50
    assert drawn.mean() == pytest.approx(32.5, abs=0.6)


def test_a_range_of_noise_is_drawn_once_a_picture() -> None:
    grey = np.full((256, 256, 3), 128, dtype=np.uint8)
    for seed in range(4):
        sigma = np.random.default_rng(seed).uniform(5, 20)
        noise = degrade(grey, [GaussianNoise(sigma=[5, 20])], seed).astype(float) - 128
        assert noise.std() == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=0.02)


def test_a_motion_along_x_blurs_columns_and_not_rows() -> None:
    step = MotionBlur(path="line", size=11, length=10, angle=0)
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[::2] = 255
    assert (degrade(stripes, [step], 0) == stripes).all()
    turned = degrade(np.ascontiguousarray(stripes.transpose(1, 0, 2)), [step], 0)
    assert turned.min() > 100 and turned.max() < 155


def test_motion_kernels_span_fifteen_sixteenths_of_their_size_by_default() -> None:
    row = motion_kernel(MotionBlur(path="line", size=31, angle=0), np.random.default_rng(0))[15]
    # Uniform over 29.06 px; bilinear splitting adds 1/6.
    assert (row * (np.arange(31) - 15) ** 2).sum() == pytest.approx((31 * 15 / 16) ** 2 / 12 + 1 / 6, rel=0.01)


def test_a_mask_drops_all_three_channels_and_leaves_the_rest(photo: np.ndarray) -> None:
    bright = np.maximum(photo, 1)
    masked = degrade(bright, [Mask()], seed=0)
    lost = (masked == 0).any(-1)
    assert lost.mean() == pytest.approx(0.9, abs=0.02)
    assert (masked[lost] == 0).all() and (masked[~lost] == bright[~lost]).all()
    assert (degrade(bright, [Mask(fill=200)], seed=0)[lost] == 200).all()


def test_blind_sr_is_worse_than_bicubic(photo: np.ndarray) -> None:
    def error(step: Degradation) -> float:
        return float(np.mean([np.abs(degrade(photo, [step], s).astype(int) - photo).mean() for s in range(5)]))

    assert error(BlindSuperResolution(scale=4)) > 1.2 * error(SuperResolution(scale=4))
