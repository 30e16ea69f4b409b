"""Rounding to nearest within its bits, and GPTQ against it, by the error that GPTQ exists to lower: tr(E M E^T)."""

import pytest
import torch
from torch import Tensor, nn

from compress.passes.quantize.round_weights import PAIR_MAX, can_pair, gptq, limit_pairs, pair_partners, quantize_weight


def error(w: Tensor, integers: Tensor, scales: Tensor, moments: Tensor) -> float:
    delta = w.double() - integers * scales.double()[:, None]
    return torch.einsum("ok,kl,ol->", delta, moments.double(), delta).item()


def correlated(columns: int, seed: int) -> Tensor:
    """Second moments of inputs that share a common part, as neighbouring pixels do."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4 * columns, columns, generator=generator) + 2 * torch.randn(4 * columns, 1, generator=generator)
    return x.T @ x


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("columns", [16, 200])  # within one block of columns, and over more than one
def test_never_worse_than_nearest_on_its_moments(columns: int, seed: int) -> None:
    w = torch.randn(8, columns, generator=torch.Generator().manual_seed(100 + seed))
    scales, moments = w.abs().amax(1) / 7, correlated(columns, seed)
    nearest = (w / scales[:, None]).round().clamp(-7, 7)
    ours = gptq(w, scales, 7, moments)
    assert error(w, ours, scales, moments) < 0.7 * error(w, nearest.double(), scales, moments)


def test_equals_nearest_where_inputs_are_uncorrelated() -> None:
    w = torch.randn(4, 24, generator=torch.Generator().manual_seed(0))
    scales = w.abs().amax(1) / 63
    assert torch.equal(gptq(w, scales, 63, torch.eye(24)), (w / scales[:, None]).round().double())


def test_exact_when_weights_are_on_the_grid() -> None:
    generator = torch.Generator().manual_seed(1)
    integers = torch.randint(-63, 64, (6, 140), generator=generator).double()
    scales = torch.rand(6, generator=generator, dtype=torch.float64) + 0.1
    result = gptq(integers * scales[:, None], scales, 63, correlated(140, 2))
    assert torch.equal(result, integers)


def test_stays_within_the_limit() -> None:
    w = torch.randn(4, 32, generator=torch.Generator().manual_seed(3))
    result = gptq(w, w.abs().amax(1) / 63 / 2, 63, correlated(32, 4))
    assert result.abs().max() == 63
    assert torch.equal(result, result.round())


def test_dead_inputs_do_no_harm() -> None:
    w = torch.randn(4, 8, generator=torch.Generator().manual_seed(5))
    moments = correlated(8, 6)
    moments[3], moments[:, 3] = 0, 0
    assert torch.isfinite(gptq(w, w.abs().amax(1) / 63, 63, moments)).all()


def test_pairs_stay_within_sixteen_bits_and_the_rest_makes_up_for_it() -> None:
    w = torch.randn(8, 32, generator=torch.Generator().manual_seed(7))
    moments, scales = correlated(32, 8), w.abs().amax(1) / 127
    partners = torch.arange(32).view(-1, 2).flip(1).flatten()
    free, limited = gptq(w, scales, 127, moments), gptq(w, scales, 127, moments, partners)
    pairs = limited.view(8, 16, 2)
    same_sign = pairs.prod(2) > 0
    assert (free.view(8, 16, 2).sum(2).abs() > PAIR_MAX).any()
    assert pairs.sum(2)[same_sign].abs().max() == PAIR_MAX and limited.abs().max() == 127
    clipped = limit_pairs(free, 1)
    assert clipped.view(8, 16, 2).sum(2).abs().max() == PAIR_MAX
    assert error(w, limited, scales, moments) < error(w, clipped, scales, moments)


def test_zeros_stay_and_the_rest_makes_up_for_what_they_carry() -> None:
    w = torch.randn(8, 32, generator=torch.Generator().manual_seed(7))
    zeros = torch.rand(8, 32, generator=torch.Generator().manual_seed(8)) < 0.5
    w[zeros] = 0
    moments, scales = correlated(32, 8), w.abs().amax(1) / 7
    free, held = gptq(w, scales, 7, moments), gptq(w, scales, 7, moments, zeros=zeros)
    assert free[zeros].any() and not held[zeros].any()
    assert error(w, held, scales, moments) < error(w, (w / scales[:, None]).round(), scales, moments)


def test_pairs_are_limited_along_any_axis_and_others_left_alone() -> None:
    values = torch.tensor([[100.0, 90.0, 5.0, -3.0], [-127.0, -2.0, 127.0, -127.0]])
    limited = torch.tensor([[38.0, 90.0, 5.0, -3.0], [-126.0, -2.0, 127.0, -127.0]])
    assert torch.equal(limit_pairs(values, 1), limited)
    assert torch.equal(limit_pairs(values.T, 0), limited.T)


def conv_of(kind: type) -> nn.Conv2d | nn.ConvTranspose2d:
    torch.manual_seed(0)
    return kind(4, 6, 4, stride=2, padding=1).requires_grad_(False)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize(("bits", "limit"), [(8, 127), (7, 63)])
def test_weights_are_within_their_bits_and_half_a_step(kind: type, bits: int, limit: int) -> None:
    conv = conv_of(kind)
    weight = quantize_weight(conv, bits)
    assert weight.values.dtype == torch.int8 and weight.values.abs().max() == limit
    assert len(weight.scales) == 6 and weight.axis == (1 if kind is nn.ConvTranspose2d else 0)
    shape = (1, 6, 1, 1) if weight.axis else (6, 1, 1, 1)
    scales = weight.scales.view(shape)
    assert ((weight.values * scales - conv.weight).abs() <= scales / 2 * 1.001).all()


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_four_bits_clip_where_that_lessens_the_error(kind: type) -> None:
    conv = conv_of(kind)
    weight = quantize_weight(conv, 4)
    assert weight.values.abs().max() == 7 and weight.bits == 4
    flat = conv.weight.transpose(0, weight.axis).flatten(1)
    plain = flat.abs().amax(1, keepdim=True) / 7
    error = weight.values.transpose(0, weight.axis).flatten(1) * weight.scales[:, None] - flat
    assert (error.square().sum(1) <= ((flat / plain).round() * plain - flat).square().sum(1)).all()
    assert (weight.scales < 0.99 * plain[:, 0]).any()


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_pairs_of_input_channels_fit_16_bits_and_take_most_of_the_grid(kind: type) -> None:
    conv = conv_of(kind)
    assert can_pair(conv) and not can_pair(nn.Conv2d(3, 6, 3))
    weight = quantize_weight(conv, 8, pair_limit=True)
    values = weight.values.int()
    pairs = values.unflatten(1 - weight.axis, (-1, 2)).sum(2 - weight.axis)
    assert 126 <= pairs.abs().max() <= 128
    assert (weight.scales < quantize_weight(conv, 7).scales).all()
    largest = torch.stack([p.sign().clamp_min(0) for p in (values, -values)]) * 255  # the worst activations
    for u8 in largest:
        sums = (u8 * values).unflatten(1 - weight.axis, (-1, 2)).sum(2 - weight.axis)
        assert sums.min() >= -32768 and sums.max() <= 32767


def test_partners_are_the_neighbouring_channels_at_the_same_tap() -> None:
    partners = pair_partners(nn.Conv2d(4, 1, 3)).view(4, 9)
    assert torch.equal(partners[0], torch.arange(9, 18)) and torch.equal(partners[3], torch.arange(18, 27))
