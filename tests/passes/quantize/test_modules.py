"""Fake quantization against values worked out by hand, and the quantized convolution against the float one."""

import pytest
import torch
from torch import nn

from compress.passes.quantize.modules import FakeQuantize, QuantBlock, QuantConv, QuantEnlarge, QuantUpsample
from compress.passes.quantize.round_weights import quantize_weight
from compress.passes.quantize.schemes import OPENVINO, TENSORRT, XNNPACK, ActivationRange, Scheme

UNSIGNED = Scheme()
X = torch.tensor([-1.0, -0.25, 0.0, 0.01, 1.0, 2.0, 9.0])


def test_unsigned_keeps_zero_and_clips() -> None:
    quantizer = FakeQuantize(ActivationRange(-0.55, 2.0), UNSIGNED)  # scale 0.01, zero point 55
    assert (quantizer.scale, quantizer.zero_point, quantizer.dtype) == (pytest.approx(0.01), 55, torch.uint8)
    torch.testing.assert_close(quantizer(X), torch.tensor([-0.55, -0.25, 0.0, 0.01, 1.0, 2.0, 2.0]))


def test_after_a_relu_all_256_levels_are_used() -> None:
    quantizer = FakeQuantize(ActivationRange(0.0, 2.55), UNSIGNED)
    assert quantizer.zero_point == 0
    assert len(quantizer(torch.linspace(0, 2.55, 4001)).unique()) == 256


def test_signed_gives_the_numbers_of_unsigned() -> None:
    x = torch.linspace(-3, 3, 1001)
    range_ = ActivationRange(-0.7, 2.1)
    signed, unsigned = FakeQuantize(range_, XNNPACK), FakeQuantize(range_, UNSIGNED)
    assert signed.dtype == torch.int8 and signed.zero_point == unsigned.zero_point - 128
    assert torch.equal(signed(x), unsigned(x))


def test_symmetric_has_no_zero_point() -> None:
    quantizer = FakeQuantize(ActivationRange(-0.5, 1.27), TENSORRT)
    assert (quantizer.scale, quantizer.zero_point, quantizer.qmin) == (pytest.approx(0.01), 0, -127)
    torch.testing.assert_close(quantizer(X), torch.tensor([-1.0, -0.25, 0.0, 0.01, 1.0, 1.27, 1.27]))


def test_a_centred_scheme_has_no_zero_points_and_all_levels_where_nothing_is_negative() -> None:
    positive, both = (
        FakeQuantize(ActivationRange(0.0, 2.55), OPENVINO),
        FakeQuantize(ActivationRange(-1.27, 0.5), OPENVINO),
    )
    assert (positive.dtype, positive.scale, positive.zero_point) == (torch.uint8, pytest.approx(0.01), 0)
    assert (both.dtype, both.scale, both.zero_point) == (torch.int8, pytest.approx(0.01), 0)
    assert both(torch.tensor([-2.0, 0.0, 1.0])).tolist() == pytest.approx([-1.27, 0.0, 1.0])


@pytest.mark.parametrize("scheme", [UNSIGNED, OPENVINO, XNNPACK, TENSORRT])
def test_a_dead_tensor_gives_zeros(scheme: Scheme) -> None:
    assert torch.equal(FakeQuantize(ActivationRange(0.0, 0.0), scheme)(torch.zeros(4)), torch.zeros(4))


def conv_of(kind: type) -> nn.Conv2d | nn.ConvTranspose2d:
    torch.manual_seed(0)
    return kind(4, 6, 4, stride=2, padding=1).requires_grad_(False)


def test_training_mode_gives_the_same_values_and_a_gradient_where_nothing_clips() -> None:
    quantizer = FakeQuantize(ActivationRange(-0.55, 2.0), UNSIGNED)
    x = X.clone().requires_grad_()
    trained = quantizer.train()(x)
    trained.sum().backward()
    torch.testing.assert_close(trained, quantizer.eval()(X), rtol=0, atol=1e-6)
    assert torch.equal(x.grad, torch.tensor([0.0, 1, 1, 1, 1, 1, 0]))


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("scheme", [UNSIGNED, XNNPACK, TENSORRT])
@pytest.mark.parametrize("quantize_output", [False, True])
def test_quantized_convolution_is_near_the_float_one(kind: type, scheme: Scheme, quantize_output: bool) -> None:
    conv = conv_of(kind)
    x = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.3
    y = conv(x)
    output = ActivationRange(y.min().item(), y.max().item()) if quantize_output else None
    quantized = QuantConv(conv, quantize_weight(conv, 8), ActivationRange(-0.3, 0.7), output, scheme)
    assert (quantized.output_quantizer is not None) == quantize_output
    error = (quantized(x) - y).square().mean().sqrt()
    assert 0 < error < 0.02 * y.std()


def test_exact_when_everything_is_on_the_grid() -> None:
    conv = nn.Conv2d(2, 2, 1, bias=False).requires_grad_(False)
    conv.weight.copy_(torch.tensor([[1.27, -0.5], [0.3, -1.27]]).view(2, 2, 1, 1))
    x = torch.randint(0, 256, (1, 2, 5, 5), generator=torch.Generator().manual_seed(2)) * 0.01
    quantized = QuantConv(conv, quantize_weight(conv, 8), ActivationRange(0.0, 2.55), None, UNSIGNED)
    torch.testing.assert_close(quantized(x), conv(x))


def test_euler_steps_share_one_int8_weight() -> None:
    conv = nn.Conv2d(2, 2, 1)
    weight = quantize_weight(conv, 7)
    a, b = (QuantConv(conv, weight, ActivationRange(0.0, high), None, UNSIGNED) for high in (1.0, 2.0))
    assert a.weight.data_ptr() == b.weight.data_ptr()  # type: ignore[operator]
    assert a.input_quantizer.scale != b.input_quantizer.scale


def test_a_block_quantizes_its_input_once_for_branch_and_shortcut() -> None:
    conv = nn.Conv2d(1, 1, 1, bias=False).requires_grad_(False)
    conv.weight.fill_(-1.27)
    first = QuantConv(conv, quantize_weight(conv, 8), ActivationRange(0.0, 2.55), None, UNSIGNED)
    block = QuantBlock(nn.Sequential(first, nn.ReLU()))
    x = torch.tensor([0.004, 0.006, 1.0, 3.0]).view(1, 1, 1, 4)
    # The branch is relu(-1.27 x) = 0 here, so what comes out is the shortcut: x on a grid of 0.01, clipped to 2.55.
    torch.testing.assert_close(block(x).flatten(), torch.tensor([0.0, 0.01, 1.0, 2.55]))


def test_quantizing_before_an_enlargement_changes_nothing() -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1).requires_grad_(False)
    x = torch.rand(1, 2, 6, 6, generator=torch.Generator().manual_seed(4))
    quantized = QuantConv(conv, quantize_weight(conv, 8), ActivationRange(0.0, 1.0), None, UNSIGNED)
    after = quantized(nn.Upsample(scale_factor=2)(x))
    before = nn.Sequential(QuantUpsample(nn.Upsample(scale_factor=2), quantized), quantized)(x)
    assert torch.equal(before, after)


def test_enlarging_by_a_transposed_convolution_is_exact() -> None:
    torch.manual_seed(0)
    conv, range_ = nn.Conv2d(6, 5, 3, padding=1), ActivationRange(-0.7, 2.13)
    weight = quantize_weight(conv, 8)
    plain, enlarging = (QuantConv(conv, weight, range_, None, XNNPACK) for _ in range(2))
    x = 3 * torch.randn(1, 6, 40, 40)  # every level, and what clips
    assert torch.equal(nn.Sequential(QuantEnlarge(enlarging), enlarging)(x), plain(nn.Upsample(scale_factor=2)(x)))
