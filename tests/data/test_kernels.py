import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import norm

from compress.data import kernels
from compress.data.kernels import Bell, Sinc


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def moments(kernel: np.ndarray) -> np.ndarray:
    """(2, 2) covariance of x and y, in px^2."""
    half = kernel.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.array([[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)])


def test_an_isotropic_bell_is_the_normal_density() -> None:
    density = norm.pdf(np.arange(-10, 11), scale=2.0)
    wanted = np.outer(density, density) / density.sum() ** 2
    assert Bell("iso", 21, (2.0, 2.0)).kernel() == pytest.approx(wanted, abs=1e-12)


def test_an_anisotropic_bell_has_its_covariance() -> None:
    turn = np.array([[math.cos(0.5), -math.sin(0.5)], [math.sin(0.5), math.cos(0.5)]])
    wanted = turn @ np.diag([3.0**2, 1.5**2]) @ turn.T
    assert moments(Bell("aniso", 41, (3.0, 1.5), angle=0.5).kernel()) == pytest.approx(wanted, rel=1e-3)


def test_generalized_and_plateau_bells_by_hand() -> None:
    generalized = Bell("generalized_iso", 7, (1.5, 1.5), beta=0.7).kernel()
    plateau = Bell("plateau_aniso", 7, (1.5, 3.0), beta=1.8).kernel()
    centre = 3, 3
    assert generalized[3, 5] / generalized[centre] == pytest.approx(math.exp(-0.5 * (4 / 1.5**2) ** 0.7))
    assert plateau[3, 5] / plateau[centre] == pytest.approx(1 / (1 + (4 / 1.5**2) ** 1.8))
    assert plateau[5, 3] / plateau[centre] == pytest.approx(1 / (1 + (4 / 3.0**2) ** 1.8))


def test_a_sinc_passes_low_frequencies_and_stops_high_ones() -> None:
    """A long one: the ripple of a short one hides the cutoff."""
    cutoff = math.pi / 2
    response = np.abs(np.fft.fft2(Sinc(201, cutoff).kernel()))[0, :100]
    frequency = 2 * np.pi * np.arange(100) / 201
    assert np.abs(response[frequency < 0.9 * cutoff] - 1).max() < 0.1
    assert response[frequency > 1.1 * cutoff].max() < 0.1
    assert Sinc(21, 2.0).kernel().sum() == pytest.approx(1)


def test_bells_are_drawn_from_the_published_ranges() -> None:
    generator = rng()
    drawn = [kernels.draw_bell(generator, 15, (0.2, 3.0)) for _ in range(4000)]
    counts = Counter(bell.shape for bell in drawn)
    for shape, probability in zip(kernels.SHAPES, (0.45, 0.25, 0.12, 0.03, 0.12, 0.03), strict=True):
        assert counts[shape] / 4000 == pytest.approx(probability, abs=0.025)
    sigmas = np.array([bell.sigma for bell in drawn])
    assert 0.2 <= sigmas.min() < 0.25 and 2.95 < sigmas.max() <= 3.0
    for name, low, high in (("generalized", 0.5, 4.0), ("plateau", 1.0, 2.0)):
        betas = [bell.beta for bell in drawn if bell.shape.startswith(name)]
        assert low <= min(betas) < low + 0.05 and high - 0.1 < max(betas) <= high
        assert np.mean(np.array(betas) <= 1) == pytest.approx(0.5, abs=0.08)
    for bell in drawn:
        turned = "aniso" in bell.shape
        assert (bell.sigma[0] != bell.sigma[1]) == turned and (bell.angle != 0) == turned
        assert abs(bell.angle) <= math.pi


def test_blurs_are_sinc_one_time_in_ten_and_7_to_21_px() -> None:
    generator = rng(1)
    drawn = [kernels.draw_blur(generator, (0.2, 1.5), 0.1) for _ in range(3000)]
    assert {blur.size for blur in drawn} == set(range(7, 22, 2))
    sincs = [blur for blur in drawn if isinstance(blur, Sinc)]
    assert len(sincs) / 3000 == pytest.approx(0.1, abs=0.02)
    small, large = ([s.cutoff for s in sincs if (s.size < 13) == below] for below in (True, False))
    assert math.pi / 3 <= min(small) and math.pi / 5 <= min(large) < math.pi / 3
    assert max(small + large) <= math.pi


def test_a_final_sinc_never_cuts_below_a_third_of_pi() -> None:
    generator = rng(2)
    cutoffs = [kernels.draw_sinc(generator, final=True).cutoff for _ in range(1000)]
    assert math.pi / 3 <= min(cutoffs) < math.pi / 3 + 0.05 and max(cutoffs) <= math.pi


@pytest.mark.parametrize("seed", range(5))
def test_a_camera_path_has_its_length_and_equal_steps(seed: int) -> None:
    steps = np.abs(np.diff(kernels.camera_path(rng(seed), 20.0, 0.005)))
    assert steps.sum() == pytest.approx(20) and np.ptp(steps) < 1e-9


def test_a_steady_camera_draws_a_line_and_a_shaky_one_does_not() -> None:
    line, shaken = (kernels.camera_path(rng(3), 20.0, intensity) for intensity in (0.0, 0.01))
    assert abs(line[-1]) == pytest.approx(20)
    assert abs(shaken[-1]) < 19


@pytest.mark.parametrize("seed", range(5))
def test_a_path_kernel_sums_to_1_and_differs_with_the_seed(seed: int) -> None:
    first, second = (kernels.path_kernel(kernels.camera_path(rng(s), 29.0, 0.005), 31) for s in (seed, seed + 100))
    assert first.shape == (31, 31) and first.min() >= 0
    assert first.sum() == pytest.approx(1)
    assert np.abs(first - second).sum() > 0.5


def test_a_straight_path_by_hand() -> None:
    """Nine px long, level: a row of 8 full px between two half ones; its variance is that of a uniform density."""
    kernel = kernels.path_kernel(kernels.line_path(9.0, 0.0), 11)
    assert kernel[5].sum() == pytest.approx(1)
    covariance = moments(kernel)
    # Bilinear splitting of uniform positions adds 1/6 px^2.
    assert covariance[0, 0] == pytest.approx(9**2 / 12 + 1 / 6, rel=0.01)
    assert covariance[1, 1] == pytest.approx(0, abs=1e-9)


def test_a_path_is_centred() -> None:
    kernel = kernels.path_kernel(kernels.line_path(8.0, 0.6), 11)
    assert kernel == pytest.approx(kernel[::-1, ::-1], abs=1e-9)
