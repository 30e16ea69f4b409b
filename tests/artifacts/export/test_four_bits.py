"""Weights in 4 bits: the same outputs to the last bit, int8 kernels, half the bytes."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from torch import Tensor, nn

from compress.artifacts.export import four_bits
from compress.artifacts.export.four_bits import fits, pack_onnx, pack_openvino
from compress.artifacts.export.to_onnx import save_onnx, to_onnx
from compress.artifacts.export.to_openvino import save_openvino, to_openvino
from compress.artifacts.inspect.weight_bits import stored_weights
from compress.artifacts.runtime.base import Format
from compress.artifacts.runtime.open import open_runner
from compress.elir.model import Elir
from compress.passes.quantize.model import Layer, build
from compress.passes.quantize.round_weights import quantize_weight
from compress.passes.quantize.schemes import SCHEMES, ActivationRange

Pair = tuple[Tensor, Tensor]
SIZE = 64


def quantized(model: Elir, scheme: str, bits: int) -> nn.Module:
    convs = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    range_ = ActivationRange(-3, 3)
    done: dict[int, Any] = {}
    for conv in convs.values():
        done.setdefault(id(conv.weight), quantize_weight(conv, bits))
    layers = {n: Layer(range_, range_, done[id(conv.weight)], None) for n, conv in convs.items()}
    return build(model, SCHEMES[scheme], convs, layers)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([-8, 7], np.int8).reshape(2, 1, 1, 1), True),
        (np.array([-9, 0], np.int8).reshape(2, 1, 1, 1), False),
        (np.array([0, 8], np.int8).reshape(2, 1, 1, 1), False),
        (np.zeros(3, np.int8), False),
        (np.zeros((1, 1, 1, 1), np.uint8), False),
    ],
)
def test_only_int8_weights_between_minus_8_and_7_fit(values: np.ndarray, wanted: bool) -> None:
    assert fits(values) is wanted


@pytest.fixture(scope="module")
def protos(folded_once: Elir) -> dict[str, bytes]:
    """The ONNX graph in 4 bits that each format's file is made of, its weights in int8."""
    return {
        format_: to_onnx(quantized(folded_once, scheme, 4), (SIZE, SIZE)).SerializeToString()
        for format_, scheme in (("openvino", "openvino"), ("onnx", "onnxruntime"))
    }


def save(proto: onnx.ModelProto, path: Path) -> None:
    if path.suffix == ".xml":
        save_openvino(to_openvino(proto), path, compact=True)
    else:
        pack_onnx(proto)
        save_onnx(proto, path)


@pytest.mark.parametrize(("format_", "suffix"), [("openvino", ".xml"), ("onnx", ".onnx")])
def test_outputs_are_equal_to_the_last_bit_and_weights_half(
    protos: dict[str, bytes],
    pair: Pair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format_: Format,
    suffix: str,
) -> None:
    packed, plain = (tmp_path / f"{name}{suffix}" for name in ("packed", "plain"))
    save(onnx.load_from_string(protos[format_]), packed)
    monkeypatch.setattr(four_bits, "fits", lambda values: False)
    save(onnx.load_from_string(protos[format_]), plain)
    inputs = [x.numpy() for x in pair]
    assert np.array_equal(*(open_runner(path, format_, 1).run(*inputs) for path in (packed, plain)))

    held = [stored_weights([path], format_) or {} for path in (packed, plain)]
    assert held[0]["4"] == held[1]["8"] > 0.9 * sum(held[1].values())
    sizes = [sum(file.stat().st_size for file in path.parent.glob(f"{path.stem}.*")) for path in (packed, plain)]
    assert sizes[1] - sizes[0] > 0.9 * held[0]["4"] / 2

    result = [(_openvino_kernels if format_ == "openvino" else _onnx_kernels)(path) for path in (packed, plain)]
    assert result[0] == result[1]
    assert sum(n for kind, n in result[0].items() if kind in ("u8", "i8", "QLinearConv")) > 20


def _openvino_kernels(path: Path) -> Counter[str]:
    """Precisions of the convolutions that run."""
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    facts = [op.get_rt_info() for op in compiled.get_runtime_model().get_ordered_ops()]
    return Counter(
        fact["runtimePrecision"].astype(str) for fact in facts if fact["layerType"].astype(str) == "Convolution"
    )


def _onnx_kernels(path: Path) -> Counter[str]:
    """Operators that run."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(path.with_suffix(".optimized"))
    settings.log_severity_level = 3
    onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(settings.optimized_model_filepath).graph.node)


def test_an_onnx_file_of_4_bits_is_valid_and_of_opset_21(protos: dict[str, bytes]) -> None:
    proto = onnx.load_from_string(protos["onnx"])
    pack_onnx(proto)
    onnx.checker.check_model(proto, full_check=True)
    assert [o.version for o in proto.opset_import if o.domain == ""] == [21]
    kinds = Counter(tensor.data_type for tensor in proto.graph.initializer)
    casts = [node for node in proto.graph.node if node.op_type == "Cast"]
    assert len(casts) == kinds[onnx.TensorProto.INT4] > 20


@pytest.mark.parametrize("format_", ["openvino", "onnx"])
def test_weights_of_8_bits_stay_as_they_are(protos: dict[str, bytes], tmp_path: Path, format_: Format) -> None:
    proto = onnx.load_from_string(protos[format_])
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8:
            tensor.raw_data = bytes([100]) + tensor.raw_data[1:]
    path = tmp_path / ("model.xml" if format_ == "openvino" else "model.onnx")
    save(proto, path)
    held = stored_weights([path], format_)
    assert held is not None and "8" in held and "4" not in held
    if format_ == "onnx":
        assert [o.version for o in proto.opset_import if o.domain == ""] == [20]


def test_an_odd_number_of_weights_keeps_its_values() -> None:
    from openvino import Core, Model, Type
    from openvino import opset13 as ops

    values = np.random.default_rng(0).integers(-8, 8, (3, 5, 3, 3)).astype(np.int8)
    model = Model([ops.convert(ops.constant(values, Type.i8), Type.f32)], [])
    pack_openvino(model)
    kinds = [op.get_element_type() for op in model.get_ordered_ops() if op.get_type_name() == "Constant"]
    assert kinds == [Type.i4]
    assert np.array_equal(Core().compile_model(model, "CPU")([])[0], values)


def test_the_same_model_gives_the_same_bytes(protos: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(onnx.load_from_string(protos["openvino"]), tmp_path / name / "model.xml")
    for file in ("model.xml", "model.bin"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
