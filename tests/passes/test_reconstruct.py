"""reconstruct: every block nearer to the float model's; the flow's blocks once for all Euler steps."""

from collections.abc import Callable

import pytest
import torch

from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.modules import QuantConv
from compress.passes.reconstruct import Reconstruct, units
from compress.recipe.passes import PtqSettings, ReconstructSettings

pytestmark = pytest.mark.slow


@pytest.fixture()
def quantized(folded: Callable[..., Subject]) -> Callable[..., Subject]:
    def make(formats: tuple[str, ...] = ("openvino", "onnx"), **settings: object) -> Subject:
        subject = folded(formats)
        # A flow of random weights is chaotic in its last bit: what helps one picture there harms the next.
        given = {"rounding": "nearest", "bias_correction": False, "keep_float": ["mmse", "fmir"], **settings}
        Ptq(PtqSettings.model_validate(given)).run(subject)
        return subject

    return make


def integers(subject: Subject, scheme: str) -> dict[str, torch.Tensor]:
    modules = subject.quantized.modules[scheme].named_modules()
    return {name: m.weight for name, m in modules if isinstance(m, QuantConv)}  # type: ignore[misc]


@pytest.mark.numerics
@pytest.mark.parametrize("by", ["block", "layer"])
def test_nearer_to_the_float_model_over_all_schemes(
    quantized: Callable[..., Subject], closeness: Callable[..., float], by: str
) -> None:
    subject = quantized()
    before = {name: closeness(subject, module) for name, module in subject.quantized.modules.items()}
    Reconstruct(ReconstructSettings(by=by, steps=40, crops=4, crop=64)).run(subject)  # type: ignore[arg-type]
    after = {name: closeness(subject, module) for name, module in subject.quantized.modules.items()}
    assert min(after.values()) > min(before.values()) + 1, (before, after)
    assert sum(after.values()) > sum(before.values()) + 3, (before, after)
    assert subject.notes[-1].startswith("reconstruct: ") and f"{by}s, 40 steps each" in subject.notes[-1]


def test_weights_learn_within_their_bits_and_two_runs_are_equal(quantized: Callable[..., Subject]) -> None:
    result = []
    for _ in range(2):
        subject = quantized(("onnx",), layer_bits={"dec": 4})
        start = integers(subject, "onnxruntime")
        Reconstruct(ReconstructSettings(steps=3, crops=2, crop=32, weight_rate=0.3)).run(subject)
        result.append(integers(subject, "onnxruntime"))
    assert all(torch.equal(result[0][name], result[1][name]) for name in start)
    assert any(not torch.equal(result[0][name], start[name]) for name in start)
    assert all(weight.abs().max() <= 7 for name, weight in result[0].items() if name.startswith("dec."))


def test_units_hold_every_convolution_once_and_a_block_of_all_steps(folded: Callable[..., Subject]) -> None:
    model = folded(k_steps=2).model
    convs = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    result = units(model, convs, "block")
    assert ["fmir.steps.0.mid_blocks.0", "fmir.steps.1.mid_blocks.0"] in result
    assert ["mmse.lrm.0.RDB1"] in result and ["enc.layers.0"] in result and ["dec.layers.2"] in result
    held = [c for names in result for name in names for c in convs if c == name or c.startswith(name + ".")]
    assert sorted(held) == sorted(convs)
    assert sorted(name for names in units(model, convs, "layer") for name in names) == sorted(convs)


def test_it_comes_after_ptq_of_our_own_engine(folded: Callable[..., Subject]) -> None:
    subject = folded()
    with pytest.raises(InputError, match="reconstruct starts from a quantized model: put ptq before it"):
        Reconstruct(ReconstructSettings()).run(subject)
    subject.quantized = QuantizedModel("nncf")
    with pytest.raises(InputError, match="reconstruct cannot learn what engine nncf wrote: use engine elir"):
        Reconstruct(ReconstructSettings()).run(subject)
