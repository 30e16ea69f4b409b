import numpy as np
import pytest

from compress.data import blind
from compress.data.blind import FIRST, SECOND, Order
from compress.recipe.degradation import BlindFace
from compress.recipe.task import task_degradation


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_orders_are_the_published_options() -> None:
    """Real-ESRGAN's options/train_realesrgan_x4plus.yml."""
    assert (FIRST.blur_probability, SECOND.blur_probability) == (1.0, 0.8)
    assert (FIRST.blur_sigma, SECOND.blur_sigma) == ((0.2, 3), (0.2, 1.5))
    assert (FIRST.resize_probability, SECOND.resize_probability) == ((0.2, 0.7, 0.1), (0.3, 0.4, 0.3))
    assert (FIRST.resize_range, SECOND.resize_range) == ((0.15, 1.5), (0.3, 1.2))
    assert (FIRST.noise_sigma, SECOND.noise_sigma) == ((1, 30), (1, 25))
    assert (FIRST.poisson_scale, SECOND.poisson_scale) == ((0.05, 3), (0.05, 2.5))
    for order in (FIRST, SECOND):
        assert (order.sinc_probability, order.gaussian_probability, order.grey_probability) == (0.1, 0.5, 0.4)
        assert order.jpeg_quality == (30, 95)
    assert blind.FINAL_SINC_PROBABILITY == 0.8


@pytest.mark.parametrize("order", [FIRST, SECOND])
def test_resizing_factors_have_the_published_ranges_and_probabilities(order: Order) -> None:
    generator = rng()
    factors = np.array([blind.draw_factor(generator, order) for _ in range(4000)])
    low, high = order.resize_range
    assert low <= factors.min() < low + 0.01 and high - 0.01 < factors.max() <= high
    shares = (factors > 1).mean(), (factors < 1).mean(), (factors == 1).mean()
    assert shares == pytest.approx(order.resize_probability, abs=0.025)


def test_noise_is_grey_in_two_of_five_and_within_its_range() -> None:
    flat = np.full((40, 40, 3), 128.0)
    generator = rng()
    noises = [blind.add_noise(flat, FIRST, generator) - 128 for _ in range(1500)]
    grey = [bool((noise[..., 0] == noise[..., 1]).all()) for noise in noises]
    assert np.mean(grey) == pytest.approx(0.4, abs=0.04)
    # One level: Poisson noise of a flat picture is worth up to 3 x sqrt(0.5) x 255; Gaussian, 30 at most.
    gaussian = [n.std() for n in noises if len(np.unique(n[..., 2])) > 20]
    assert len(gaussian) / 1500 == pytest.approx(0.5, abs=0.05)
    assert 0.9 < min(gaussian) < 2 and 28 < max(gaussian) < 32


def test_poisson_noise_has_the_pictures_variance() -> None:
    """256 levels: a pixel of value v is Poisson of mean v, in 1/255 of 256/255."""
    ramp = np.tile(np.arange(256.0)[None, :, None], (400, 1, 3))
    noise = blind.poisson_noise(ramp, rng())
    wanted = ramp[0, :, 0] / 255 * 256 * (255 / 256) ** 2
    assert noise.var(axis=(0, 2))[10:] == pytest.approx(wanted[10:], rel=0.2)
    assert abs(noise.mean()) < 0.1


def test_luma_is_bt601() -> None:
    assert blind.luma(np.array([[[255.0, 0, 0], [0, 255, 0], [255, 255, 255]]])).ravel() == pytest.approx(
        [76.2195, 149.685, 254.9745]
    )


@pytest.mark.parametrize("scale", [2, 4])
def test_real_esrgan_gives_the_small_picture(photo: np.ndarray, scale: int) -> None:
    odd = photo[:190, :253]
    drawn = [blind.real_esrgan(odd, scale, rng(seed)) for seed in range(12)]
    assert all(d.shape == (190 // scale, 253 // scale, 3) and d.dtype == np.uint8 for d in drawn)
    assert len({d.tobytes() for d in drawn}) == 12
    # Blurred, noisy, but the same scene: the mean colour stays.
    assert np.mean([abs(d.mean() - odd.mean()) for d in drawn]) < 10


def test_a_mild_face_degradation_changes_little_and_a_strong_one_much(photo: np.ndarray) -> None:
    def error(sigma: float, factor: float, noise: float, quality: float) -> float:
        blur, downsample, grain, jpeg = ([v, v] for v in (sigma, factor, noise, quality))
        step = BlindFace(blur_sigma=blur, downsample=downsample, noise=grain, jpeg=jpeg)
        return float(np.abs(blind.blind_face(photo, step, rng()).astype(int) - photo).mean())

    mild = error(0.1, 1, 0, 100)
    assert mild < 2
    for strong in ((8, 1, 0, 100), (0.1, 8, 0, 100), (0.1, 1, 20, 100), (0.1, 1, 0, 60)):
        assert error(*strong) > mild + 1


def test_noise_of_a_face_is_drawn_from_its_range() -> None:
    """No blur to speak of, no reduction, the best JPEG: what is left is white noise of sigma 0 to 20."""
    flat = np.full((64, 64, 3), 128, dtype=np.uint8)
    step = BlindFace(blur_sigma=[0.1, 0.1], downsample=[1, 1], noise=[0, 20], jpeg=[100, 100])
    luma = [blind.luma(blind.blind_face(flat, step, rng(seed)).astype(float)).std() for seed in range(150)]
    # Luma of independent channels: sqrt(0.2989^2 + 0.587^2 + 0.114^2) of their sigma.
    sigmas = np.array(luma) / 0.6686
    assert sigmas.min() < 1.5 and 18.5 < sigmas.max() < 21
    assert sigmas.mean() == pytest.approx(10, abs=1.3)


def test_a_second_order_that_never_comes_leaves_blur_resize_and_noise_out(photo: np.ndarray) -> None:
    """One order blurs less: the mean error is smaller, and the draw of a certain one takes nothing from the seed."""

    def error(second: float) -> float:
        small = (blind.real_esrgan(photo, 4, rng(seed), second) for seed in range(30))
        wanted = photo.reshape(64, 4, 64, 4, 3).mean((1, 3))
        return float(np.mean([np.abs(s - wanted).mean() for s in small]))

    assert error(0) < 0.95 * error(1)
    whole, half = (blind.real_esrgan(photo, 4, rng(3), p).tobytes() for p in (1, 1 - 1e-9))
    assert whole != half


@pytest.mark.parametrize(("uniform", "mean_side"), [("factor", 0.155), ("side", 0.6156)])
def test_a_face_is_reduced_by_a_uniform_factor_or_to_a_uniform_side(uniform: str, mean_side: float) -> None:
    step = BlindFace(downsample=[1 / 1.2, 32], uniform=uniform)  # type: ignore[arg-type]
    generator = rng()
    sides = 1 / np.array([blind.draw_reduction(generator, step) for _ in range(4000)])
    assert 1 / 32 <= sides.min() < 0.04 and 1.1 < sides.max() <= 1.2
    assert sides.mean() == pytest.approx(
        mean_side if uniform == "side" else np.log(32 * 1.2) / (32 - 1 / 1.2), rel=0.06
    )


def test_published_faces_are_blurred_equally_in_every_direction() -> None:
    """No reduction, noise or JPEG to speak of: a point becomes the kernel itself, whose spread along x is that of y."""
    published = task_degradation("blind_face_published")[0].model_copy(
        update={"downsample": [1.0, 1.0], "noise": [0.0, 0.0], "jpeg": [100.0, 100.0], "blur_sigma": [3.0, 9.0]}
    )
    assert isinstance(published, BlindFace)
    bar = np.zeros((96, 96, 3), dtype=np.uint8)
    bar[32:64, 32:64] = 255
    for seed in range(6):
        round_ = blind.blind_face(bar, published, rng(seed)).astype(float)
        assert np.abs(round_ - round_.transpose(1, 0, 2)).max() < 6
    mixed = [blind.blind_face(bar, published.model_copy(update={"kernels": "mixed"}), rng(seed)) for seed in range(6)]
    assert max(np.abs(m.astype(float) - m.transpose(1, 0, 2)).max() for m in mixed) > 20
