"""Our own engine: near the float model, repeatable, memory flat in the number of pictures."""

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from compress.artifacts.export.to_onnx import to_onnx
from compress.artifacts.export.to_openvino import to_openvino
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.passes.quantize.model import large_blocks, summands
from compress.passes.quantize.modules import QuantBlock, QuantConv, QuantEnlarge, QuantUpsample
from compress.passes.quantize.round_weights import limit_pairs
from compress.recipe.passes import PtqSettings

pytestmark = pytest.mark.slow


def quantized_convs(module: torch.nn.Module) -> dict[str, QuantConv]:
    return {name: m for name, m in module.named_modules() if isinstance(m, QuantConv)}


@pytest.fixture(scope="module")
def settled(folded: Callable[..., Subject]) -> Subject:
    """Quantized for every format. Not to be changed."""
    subject = folded(("openvino", "onnx", "executorch"))
    Ptq(PtqSettings(rounding="nearest")).run(subject)
    return subject


@pytest.fixture(scope="module")
def openvino_graph(settled: Subject) -> Any:
    """ov.Model. Not to be changed."""
    return to_openvino(to_onnx(settled.quantized.modules["openvino"], settled.shape))


def test_every_scheme_is_near_the_float_model(settled: Subject, closeness: Callable[..., float]) -> None:
    subject = settled
    floors = {"openvino": 28, "onnxruntime": 26, "tensorrt": 22, "xnnpack": 26}
    assert subject.quantized.modules.keys() == floors.keys()
    for name, floor in floors.items():
        assert closeness(subject, subject.quantized.modules[name]) > floor, name
        convs = quantized_convs(subject.quantized.modules[name]).values()
        assert len(convs) > 50
        assert 63 < max(int(conv.weight.abs().max()) for conv in convs) <= 127
        for conv in convs:
            weight = conv.weight.int()
            assert weight.shape[1 - conv.axis] == 3 or torch.equal(limit_pairs(weight, 1 - conv.axis), weight)


@pytest.mark.numerics
def test_the_runtimes_kernels_are_as_near_as_the_simulation(
    settled: Subject, openvino_graph: Any, closeness: Callable[..., float], run_onnx: Callable, run_openvino: Callable
) -> None:
    modules = settled.quantized.modules
    onnx = to_onnx(modules["onnxruntime"], settled.shape)
    for name, run in (("onnxruntime", run_onnx(onnx)), ("openvino", run_openvino(openvino_graph))):
        assert closeness(settled, run) > closeness(settled, modules[name]) - 3, name


def test_two_runs_are_equal(folded: Callable[..., Subject], closeness: Callable[..., float]) -> None:
    outputs, weights = [], []
    for _ in range(2):
        subject = folded(("openvino",))
        Ptq(PtqSettings(keep_float=["enc", "dec"])).run(subject)
        module = subject.quantized.modules["openvino"]
        lq, noise = next(iter(subject.calibration()))
        with torch.no_grad():
            outputs.append(module(lq, noise))
        weights.append(torch.cat([conv.weight.flatten() for conv in quantized_convs(module).values()]))
        assert closeness(subject, module) > 30
    assert torch.equal(*weights)
    assert torch.equal(*outputs)


def test_steps_share_weights_and_have_their_own_ranges(folded: Callable[..., Subject]) -> None:
    subject = folded(("openvino",), k_steps=2)
    Ptq(PtqSettings(rounding="nearest", keep_float=["enc", "mmse", "dec"])).run(subject)
    convs = quantized_convs(subject.quantized.modules["openvino"])
    name = "mid_blocks.0.block1.block.2"
    first, second = convs[f"fmir.steps.0.{name}"], convs[f"fmir.steps.1.{name}"]
    assert first.weight.data_ptr() == second.weight.data_ptr()  # type: ignore[operator]
    assert first.input_quantizer.range != second.input_quantizer.range


def test_a_packed_calibration_gives_the_same_modules(folded: Callable[..., Subject]) -> None:
    subject = folded(("openvino", "executorch"), k_steps=2)
    packed: dict[str, Tensor] = {}
    subject.keep = lambda name, make: packed.update(make()) or packed  # type: ignore[func-returns-value]
    Ptq(PtqSettings(rounding="nearest")).run(subject)
    first, subject.quantized = subject.quantized, None
    subject.keep = lambda name, make: packed
    subject.calibration = lambda: iter(())
    Ptq(PtqSettings(rounding="nearest")).run(subject)
    for name, module in first.modules.items():
        second = subject.quantized.modules[name]
        assert all(torch.equal(a, b) for a, b in zip(module.buffers(), second.buffers(), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(module.parameters(), second.parameters(), strict=True))
        ranges = [[c.input_quantizer for c in quantized_convs(m).values()] for m in (module, second)]
        assert len(ranges[0]) > 50
        for a, b in zip(*ranges, strict=True):
            assert getattr(a, "range", None) == getattr(b, "range", None)


def test_large_blocks_add_8_bit_tensors(folded: Callable[..., Subject]) -> None:
    subject = folded(("openvino", "onnx"))
    Ptq(PtqSettings(rounding="nearest", keep_float=["enc.layers.3"])).run(subject)
    modules = subject.quantized.modules
    shared = {n for n, m in modules["openvino"].named_modules() if isinstance(m, QuantBlock)}
    assert shared == large_blocks(subject.model) - {"enc.layers.3"}
    written = {n for n, m in quantized_convs(modules["openvino"]).items() if m.output_quantizer is not None}
    assert written == summands(subject.model) - {"enc.layers.3.conv.4"}
    assert sum(isinstance(m, QuantUpsample) for m in modules["openvino"].modules()) == 3
    assert not any(isinstance(m, QuantBlock | QuantUpsample) for m in modules["onnxruntime"].modules())


def test_openvino_runs_every_convolution_in_8_bits_the_transposed_too(openvino_graph: Any) -> None:
    import openvino

    operations = openvino.Core().compile_model(openvino_graph, "CPU").get_runtime_model().get_ordered_ops()
    ran: dict[str, set[str]] = {}
    for information in (operation.get_rt_info() for operation in operations):
        ran.setdefault(information["layerType"].value, set()).add(information["runtimePrecision"].value)
    assert ran["Deconvolution"] <= {"i8", "u8"}, ran


def test_xnnpack_enlarges_8_bit_tensors(settled: Subject) -> None:
    modules = settled.quantized.modules
    assert sum(isinstance(m, QuantEnlarge) for m in modules["xnnpack"].modules()) == 3
    lq, noise = next(iter(settled.calibration()))
    with torch.no_grad():
        assert torch.equal(modules["xnnpack"](lq, noise), modules["onnxruntime"](lq, noise))


def test_layers_kept_in_float_are_the_models_own(folded: Callable[..., Subject]) -> None:
    subject = folded(("openvino",))
    Ptq(PtqSettings(keep_float=["dec"], rounding="nearest", range="min_max")).run(subject)
    module = subject.quantized.modules["openvino"]
    assert not any(name.startswith("dec.") for name in quantized_convs(module))
    assert module.dec.layers[0].weight is subject.model.dec.layers[0].weight  # type: ignore[union-attr]


def test_layers_have_bits_of_their_own(folded: Callable[..., Subject], closeness: Callable[..., float]) -> None:
    subject = folded(("onnx",), k_steps=2)
    bits = {"fmir": 4, "fmir.steps.0.final_proj": 7, "fmir.steps.1.final_proj": 7, "mmse": 16, "dec.layers.2": 4}
    Ptq(PtqSettings.model_validate({"layer_bits": bits})).run(subject)
    convs = quantized_convs(subject.quantized.modules["onnxruntime"])
    limits = {4: 7, 7: 63, 8: 127}
    settings = subject.quantized.settings
    assert not any(name.startswith("mmse") for name in convs)
    assert {settings.bits_of(name) for name in convs} == {4, 8}  # final_proj's outputs would be quantized: float there
    for name, conv in convs.items():
        assert int(conv.weight.abs().max()) <= limits[settings.bits_of(name)], name
    assert closeness(subject, subject.quantized.modules["onnxruntime"]) > 15
    assert "with 4-bit weights" in subject.notes[-1]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"decoder": 4}, "layer_bits: no layer is named decoder: names look like enc.layers.0"),
        (
            {"fmir.steps.1": 4},
            r"layer_bits: fmir.steps.1.\S+ gets 4 bits, fmir.steps.0.\S+ 8, and they share one weight: give all Euler "
            "steps the same bits, or 16",
        ),
    ],
)
def test_bits_that_fit_no_layer(folded: Callable[..., Subject], given: dict[str, int], text: str) -> None:
    with pytest.raises(InputError, match=f"^passes.ptq.{text}$"):
        Ptq(PtqSettings.model_validate({"layer_bits": given})).run(folded(k_steps=2))


def test_pictures_are_let_go_one_by_one(folded: Callable[..., Subject]) -> None:
    subject = folded(("openvino",))
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    pairs = subject.calibration

    def watched() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal most
        for lq, noise in pairs():
            alive.append(weakref.ref(lq))
            yield lq, noise
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))

    subject.calibration = watched
    Ptq(PtqSettings(rounding="nearest", range="min_max")).run(subject)
    assert len(alive) == subject.calibration_count
    assert most <= 2  # the one in hand, and the generator's own


def test_a_picture_that_gives_nan_is_named(folded: Callable[..., Subject]) -> None:
    subject = folded(("openvino",))
    pairs = subject.calibration

    def spoiled() -> Iterator[tuple[Tensor, Tensor]]:
        for i, (lq, noise) in enumerate(pairs()):
            yield (lq * torch.nan if i == 2 else lq), noise

    subject.calibration = spoiled
    text = r"^enc\.layers\.0: NaN or Inf among the activations on calibration picture 3: check weights and data$"
    with pytest.raises(InputError, match=text):
        Ptq(PtqSettings()).run(subject)
