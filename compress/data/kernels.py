"""Blur kernels: square, odd sides, summing to 1, float64.

Gaussian, generalised Gaussian and plateau-shaped kernels, isotropic or not, and sinc filters: Wang et al. 2021,
Real-ESRGAN (arXiv 2107.10833), sections 3.1 and 3.3. Camera trajectories: Boracchi and Foi 2012, "Modeling the
performance of image restoration from motion blur" (IEEE TIP 21-8), as Kupyn et al. 2018, DeblurGAN (arXiv 1711.07064),
Algorithm 1, sample them, with the constants of its published code.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import j1

SHAPES = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
PROBABILITIES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
SIZES = tuple(range(7, 22, 2))
GENERALIZED_BETA = (0.5, 4.0)
PLATEAU_BETA = (1.0, 2.0)
POSITIONS = 2000
"""Number of positions on a camera's trajectory."""


@dataclass(frozen=True)
class Bell:
    """A bell-shaped kernel: ``sigma`` in px along its axes, the first turned by ``angle`` (radians) from x."""

    shape: str
    size: int
    sigma: tuple[float, float]
    angle: float = 0.0
    beta: float = 1.0

    def kernel(self) -> np.ndarray:
        """(size, size)."""
        half = self.size // 2
        y, x = np.mgrid[-half : half + 1, -half : half + 1]
        along = (x * math.cos(self.angle) + y * math.sin(self.angle)) / self.sigma[0]
        across = (y * math.cos(self.angle) - x * math.sin(self.angle)) / self.sigma[1]
        distance = (along**2 + across**2) ** self.beta
        values = 1 / (distance + 1) if self.shape.startswith("plateau") else np.exp(-distance / 2)
        return values / values.sum()


@dataclass(frozen=True)
class Sinc:
    """A circular ideal low-pass filter, cut to ``size``: frequencies above ``cutoff``, in radians a px, are lost."""

    size: int
    cutoff: float

    def kernel(self) -> np.ndarray:
        """(size, size): cutoff / (2 pi r) * J1(cutoff r), section 3.3 of Real-ESRGAN."""
        half = self.size // 2
        y, x = np.mgrid[-half : half + 1, -half : half + 1]
        radius = np.hypot(x, y)
        radius[half, half] = 1  # the limit there is set below
        values = self.cutoff * j1(self.cutoff * radius) / (2 * np.pi * radius)
        values[half, half] = self.cutoff**2 / (4 * np.pi)
        return values / values.sum()


def draw_bell(
    rng: np.random.Generator,
    size: int,
    sigma: tuple[float, float],
    shapes: tuple[str, ...] = SHAPES,
    probabilities: tuple[float, ...] = PROBABILITIES,
) -> Bell:
    """A kernel's shape by ``probabilities``, its sigmas from ``sigma``; beta is below 1 in half of the draws."""
    shape = str(rng.choice(shapes, p=probabilities))
    first = rng.uniform(*sigma)
    second, angle = (first, 0.0) if shape.endswith("_iso") or shape == "iso" else (rng.uniform(*sigma), _angle(rng))
    beta = 1.0
    if shape.startswith(("generalized", "plateau")):
        low, high = GENERALIZED_BETA if shape.startswith("generalized") else PLATEAU_BETA
        beta = rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
    return Bell(shape, size, (first, second), angle, beta)


def _angle(rng: np.random.Generator) -> float:
    return float(rng.uniform(-math.pi, math.pi))


def draw_sinc(rng: np.random.Generator, *, final: bool = False) -> Sinc:
    """Size 7 to 21; cutoff from pi/3 (pi/5 for 13 px and more, unless ``final``) to pi."""
    size = int(rng.choice(SIZES))
    low = math.pi / 3 if final or size < 13 else math.pi / 5
    return Sinc(size, float(rng.uniform(low, math.pi)))


def draw_blur(rng: np.random.Generator, sigma: tuple[float, float], sinc_probability: float) -> Bell | Sinc:
    """One of Real-ESRGAN's blurs: sinc by its probability, else a bell of a random size."""
    if rng.random() < sinc_probability:
        return draw_sinc(rng)
    return draw_bell(rng, int(rng.choice(SIZES)), sigma)


def camera_path(rng: np.random.Generator, length: float, intensity: float) -> np.ndarray:
    """Positions (POSITIONS,) complex, x + iy in px: equal steps, ``length`` in all; ``intensity`` 0 is a line.

    The velocity is changed by Gaussian shakes, by a pull back to the start, and now and then by a sudden reversal.
    """
    pull, sudden, shake = 0.7 * rng.random(), 0.2 * rng.random(), 10 * rng.random()
    step = length / (POSITIONS - 1)
    velocity = np.exp(1j * _angle(rng)) * (intensity or step)
    shakes = shake * (rng.standard_normal(POSITIONS) + 1j * rng.standard_normal(POSITIONS))
    reversals = rng.random(POSITIONS) < sudden * intensity
    turns = 2 * np.exp(1j * (np.pi + rng.random(POSITIONS) - 0.5))
    path = np.zeros(POSITIONS, dtype=np.complex128)
    for t in range(POSITIONS - 1):
        change = intensity * (shakes[t] - pull * path[t]) * step
        velocity = velocity + change + (turns[t] * velocity if reversals[t] else 0)
        velocity = velocity / abs(velocity) * step
        path[t + 1] = path[t] + velocity
    return path


def line_path(length: float, angle: float) -> np.ndarray:
    """Positions (POSITIONS,) complex of uniform motion over ``length`` px at ``angle``, in radians from x."""
    return np.linspace(0, length, POSITIONS) * np.exp(1j * angle)


def path_kernel(path: np.ndarray, size: int) -> np.ndarray:
    """(size, size): time spent at each px along ``path``, bilinear; the path's bounding box is centred.

    ``path`` must span ``size - 1`` px at most along each axis.
    """
    x, y = (_centred(part, size) for part in (path.real, path.imag))
    left, top = (np.minimum(np.floor(part).astype(int), size - 2) for part in (x, y))
    kernel = np.zeros((size, size))
    for rows in (0, 1):
        for columns in (0, 1):
            weight = (1 - abs(x - left - columns)) * (1 - abs(y - top - rows))
            np.add.at(kernel, (top + rows, left + columns), weight)
    return kernel / kernel.sum()


def _centred(part: np.ndarray, size: int) -> np.ndarray:
    moved = part - (part.min() + part.max()) / 2 + (size - 1) / 2
    return moved.clip(0, size - 1)
