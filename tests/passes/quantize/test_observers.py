"""Ranges and moments of activations, on cases worked out by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.passes.quantize.observers import BINS, MomentObserver, RangeObserver


def observed(*values: torch.Tensor) -> RangeObserver:
    observer = RangeObserver()
    for value in values:
        observer.add(value)
    return observer


def test_min_max_holds_every_picture_and_zero() -> None:
    observer = observed(torch.tensor([0.5, 2.0]), torch.tensor([1.0, 3.0]))
    chosen = observer.range("min_max", 99.9)
    assert (chosen.low, chosen.high) == (0.0, 3.0)
    assert observed(torch.tensor([-2.0, -1.0])).range("min_max", 99.9).high == 0.0


def test_percentile_cuts_both_tails() -> None:
    values = torch.linspace(-1, 1, 10001)
    chosen = observed(values).range("percentile", 98.0)
    bin_width = 3 / BINS
    assert chosen.low == pytest.approx(-0.98, abs=2 * bin_width)
    assert chosen.high == pytest.approx(0.98, abs=2 * bin_width)


def test_percentile_of_everything_is_min_max() -> None:
    observer = observed(torch.linspace(-5.01, 5.01, 1001), torch.tensor([-2.0, 7.3]))
    assert observer.range("percentile", 100.0) == observer.range("min_max", 100.0)


def test_percentile_treats_both_ends_alike() -> None:
    values = torch.linspace(-1, 1, 10001) ** 3
    for percentile in (99.99, 99.9, 98.0):
        chosen, mirrored = (observed(v).range("percentile", percentile) for v in (values, -values))
        assert (chosen.low, chosen.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-6)


@pytest.mark.parametrize("method", ["percentile", "mse", "entropy"])
@pytest.mark.parametrize("first", [torch.zeros(1000), torch.full((1000,), 1e-3), torch.linspace(0, 1, 1000)])
def test_the_first_picture_binds_no_later_one(method: str, first: torch.Tensor) -> None:
    """A black one, a dark one, one without a negative value."""
    later = [torch.linspace(-3, 3, 10001)] * 15
    chosen, among = observed(first, *later).range(method, 99.9), observed(*later, first).range(method, 99.9)
    assert chosen.low < -2.8 and chosen.high > 2.8
    assert (chosen.low, chosen.high) == pytest.approx((among.low, among.high), abs=0.1)


def test_mse_keeps_the_range_of_an_even_distribution() -> None:
    chosen = observed(torch.linspace(-1, 1, 20001)).range("mse", 99.9)
    assert chosen.low == pytest.approx(-1, abs=0.03) and chosen.high == pytest.approx(1, abs=0.03)


def test_mse_gives_up_a_lone_outlier() -> None:
    values = torch.linspace(0, 1, 60001)
    values[0] = 2.0
    chosen = observed(values, *[torch.linspace(0, 1, 60001)] * 10).range("mse", 99.9)
    assert 1 <= chosen.high < 1.2


def test_mse_is_the_least_squared_error_of_all_fractions() -> None:
    values = torch.randn(40000, generator=torch.Generator().manual_seed(0))
    observer = observed(values)

    def error(low: float, high: float) -> float:
        scale = (high - low) / 255
        rounded = ((values.clamp(low, high) - low) / scale).round() * scale + low
        return (values - rounded).square().mean().item()

    chosen, full = observer.range("mse", 99.9), observer.range("min_max", 99.9)
    best = min(error(full.low * f / 50, full.high * f / 50) for f in range(15, 51))
    assert error(chosen.low, chosen.high) <= 1.05 * best


def test_entropy_gives_up_a_lone_outlier_and_keeps_an_even_distribution() -> None:
    values = torch.linspace(0, 1, 60001)
    assert observed(values).range("entropy", 99.9).high == pytest.approx(1, abs=0.03)
    values[0] = 2.0
    chosen = observed(values, *[torch.linspace(0, 1, 60001)] * 10).range("entropy", 99.9)
    assert 1 <= chosen.high < 1.2


def test_entropy_is_the_least_divergence_worked_out_value_by_value() -> None:
    values = torch.randn(40000, generator=torch.Generator().manual_seed(0)).exp()  # long-tailed
    observer = observed(values)
    chosen, full = observer.range("entropy", 99.9), observer.range("min_max", 99.9)
    edges = torch.linspace(*observer.ends, BINS + 1, dtype=torch.float64)  # type: ignore[misc]

    def divergence(high: float) -> float:
        centers = ((edges[1:] + edges[:-1]) / 2).tolist()
        counts = observer.counts.tolist()
        bins = [i for i, c in enumerate(centers) if 0 <= c <= high]
        p = {i: counts[i] for i in bins}
        p[bins[-1]] += sum(n for i, n in enumerate(counts) if centers[i] > high)
        p[bins[0]] += sum(n for i, n in enumerate(counts) if centers[i] < 0)
        levels: dict[int, list[int]] = {}
        for i in bins:
            levels.setdefault(round(centers[i] / high * 255), []).append(i)
        q = {}
        for members in levels.values():
            filled = [i for i in members if p[i] > 0]
            q.update({i: sum(counts[j] for j in members) / len(filled) for i in filled})
        total, sum_q = sum(p.values()), sum(q.values())
        return sum(p[i] / total * math.log(p[i] / total / max(q[i] / sum_q, 1e-12)) for i in bins if p[i] > 0)

    tried = {f: divergence(full.high * f / 50) for f in range(15, 51)}
    assert chosen.high == pytest.approx(full.high * min(tried, key=lambda f: tried[f]) / 50)
    assert chosen.high < 0.9 * full.high


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(FloatingPointError, match="NaN or Inf among the activations"):
        RangeObserver().add(torch.tensor([0.0, bad, 1.0]))


def test_size_does_not_grow_with_pictures() -> None:
    observer = observed(*(torch.rand(1, 4, 32, 32, generator=torch.Generator().manual_seed(i)) for i in range(20)))
    assert observer.counts.shape == (BINS,)
    assert observer.counts.sum() == pytest.approx(20 * 4096)


@pytest.mark.parametrize("stride", [1, 2])
def test_moments_are_those_of_the_convolutions_own_patches(stride: int) -> None:
    conv = nn.Conv2d(3, 5, 3, stride=stride, bias=False)
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    observer = MomentObserver()
    observer.add(x, conv, torch.Generator().manual_seed(0))
    patches = functional.unfold(x, 3, stride=stride)[0]
    assert observer.moments is not None and observer.count == patches.shape[1]
    torch.testing.assert_close(observer.moments, patches @ patches.T)
    output = (conv.weight.flatten(1) @ observer.mean).detach()
    torch.testing.assert_close(output, conv(x).mean((0, 2, 3)).detach(), rtol=1e-4, atol=1e-5)


def test_moments_add_up() -> None:
    conv, generator = nn.Conv2d(2, 2, 1), torch.Generator().manual_seed(0)
    a, b = torch.ones(1, 2, 4, 4), 3 * torch.ones(1, 2, 4, 4)
    observer = MomentObserver()
    observer.add(a, conv, generator)
    observer.add(b, conv, generator)
    assert observer.moments is not None
    torch.testing.assert_close(observer.moments, torch.full((2, 2), 160.0))
    torch.testing.assert_close(observer.mean, torch.tensor([2.0, 2.0]))
