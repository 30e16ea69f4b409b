"""weights: rounded on grids, on a copy, whatever the layer; the float model stays."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from compress.elir.model import Elir
from compress.errors import InputError
from compress.passes import load_pass
from compress.passes.base import Subject
from compress.passes.weights import Weights, round_weight
from compress.recipe.pass_item import PassItem
from compress.recipe.pass_order import order_mistakes
from compress.recipe.passes import WeightsSettings

BOTH = "comes with {}, which rounds the same weights: remove one of the two"
AFTER = "comes after weights, where integer weights would have to be rounded again: put it before weights"
Make = Callable[..., Subject]


def conv_of(kind: type) -> nn.Conv2d | nn.ConvTranspose2d:
    torch.manual_seed(0)
    conv = kind(32, 8, 3)
    conv.weight.data[:, :, 0, 0] *= 20
    return conv.requires_grad_(False)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize(("bits", "limit"), [(4, 7), (8, 127)])
@pytest.mark.parametrize("group", [None, 16, 32, 12])
def test_integers_and_scales_give_the_weight(kind: type, bits: int, limit: int, group: int | None) -> None:
    conv = conv_of(kind)
    rounded = round_weight(conv, bits, group)
    assert rounded.scales is not None and rounded.values.dtype == torch.int8
    assert rounded.values.abs().max() == limit
    assert torch.equal((rounded.values * rounded.scales).view_as(conv.weight), rounded.exact)
    # 12 does not divide the 32 input channels, and 32 is all of them: one scale for each output channel, as for none
    assert rounded.scales.numel() == (16 if group == 16 else 8)
    error = (rounded.exact - conv.weight).square().mean() / conv.weight.square().mean()
    assert error < (0.05 if bits == 4 else 1e-3)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_groups_have_scales_of_their_own(kind: type) -> None:
    conv = conv_of(kind)
    inputs = conv.weight if kind is nn.ConvTranspose2d else conv.weight.transpose(0, 1)
    inputs[:16] *= 50
    error = {g: (round_weight(conv, 4, g).exact - conv.weight)[:, 16:].square().mean() for g in (None, 16)}
    if kind is nn.ConvTranspose2d:
        error = {g: (round_weight(conv, 4, g).exact - conv.weight)[16:].square().mean() for g in (None, 16)}
    assert error[16] < 0.05 * error[None]


def test_16_bits_are_float16() -> None:
    rounded = round_weight(conv_of(nn.Conv2d), 16, None)
    assert rounded.scales is None and torch.equal(rounded.values, rounded.exact.half())


def test_the_float_model_stays_and_more_bits_are_nearer(folded: Make, closeness: Callable) -> None:
    subject = folded(k_steps=2)
    before, result = subject.probe(), {}
    for bits in (4, 8, 16):
        subject.quantized = None
        load_pass(PassItem.model_validate({"weights": {"bits": bits}})).run(subject)
        result[bits] = closeness(subject, subject.quantized.modules["x86"])
    assert torch.equal(before, subject.probe())
    assert 15 < result[4] < result[8] - 10 < result[16] - 20


def test_layers_have_bits_of_their_own(folded: Make) -> None:
    subject = folded()
    Weights(WeightsSettings(bits=4, layer_bits={"dec": 32, "enc": 16})).run(subject)
    model, rounded = subject.model, subject.quantized.modules["x86"]
    assert torch.equal(rounded.dec.layers[0].weight, model.dec.layers[0].weight)
    assert torch.equal(rounded.enc.layers[0].weight, model.enc.layers[0].weight.half().float())
    name = next(n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and n.startswith("mmse."))
    assert not torch.equal(rounded.get_submodule(name).weight, model.get_submodule(name).weight)
    assert {w.values.dtype for w in subject.quantized.weights} == {torch.int8, torch.float16}


def test_a_prefix_that_names_no_layer(folded: Make) -> None:
    with pytest.raises(InputError, match=r"^passes.weights.layer_bits: no layer is named unet: names look like enc\."):
        Weights(WeightsSettings(layer_bits={"unet": 4})).run(folded())


@pytest.mark.parametrize("bits", [{"fmir.steps.0": 32}, {"fmir.steps.1": 4}])
def test_euler_steps_that_share_a_weight_share_its_bits(folded: Make, bits: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"^passes.weights.layer_bits: fmir.* and they share one weight: give all"):
        Weights(WeightsSettings(layer_bits=bits)).run(folded(k_steps=2))
    Weights(WeightsSettings(layer_bits={"fmir": 32})).run(folded(k_steps=2))


def test_executorch_is_refused(folded: Make) -> None:
    with pytest.raises(InputError) as caught:
        Weights(WeightsSettings()).run(folded(formats=("openvino", "executorch")))
    assert str(caught.value) == (
        "passes: weights writes openvino, onnx, not executorch, whose convolutions take integer weights with integer "
        "activations only: remove weights from export.executorch.precisions, or use ptq"
    )


def test_a_group_without_scales_is_refused() -> None:
    with pytest.raises(ValueError, match="group has no effect with bits 16, which has no scale: remove it"):
        WeightsSettings(bits=16, group=32)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["collapse", "fold_time", "weights"], []),
        (["fold_time", "ptq", "weights"], [(2, BOTH.format("ptq"))]),
        (["fold_time", "weights", "ptq"], [(2, BOTH.format("weights"))]),
        (["weights", "prune"], [(1, AFTER)]),
        (["weights", "qat"], [(1, "comes without ptq before it: add ptq")]),
    ],
)
def test_orders_and_combinations(names: list[str], wanted: list[tuple[int, str]]) -> None:
    assert order_mistakes(names) == wanted


def test_shared_weights_stay_shared(tiny_elir: Elir, make_subject: Callable[..., Subject]) -> None:
    subject = make_subject(tiny_elir)
    for name in ("collapse", "fold_time", "weights"):
        load_pass(PassItem.model_validate({name: {}})).run(subject)
    model = subject.quantized.modules["x86"]
    first, second = (model.get_submodule(f"fmir.steps.{i}.final_proj").weight for i in (0, 1))
    assert first is second
