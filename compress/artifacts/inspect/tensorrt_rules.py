"""What TensorRT asks of an ONNX file, checked without TensorRT."""

from pathlib import Path
from typing import Any

from compress.artifacts.inspect.onnx_rules import breaches

OPSET = 20
SYMMETRIC_TYPES = ("INT8", "FLOAT8E4M3FN")


def lint(path: Path) -> list[str]:
    """Breaches of TensorRT's rules in an ONNX file, one line each; none: an empty list.

    Opset at most 20; static shapes; quantization symmetric (no zero point) and in int8; no dequantized bias.
    Source: TensorRT developer guide, "Working with quantized types"; what its ONNX parser refuses.
    Raises VerificationError for a file that cannot be read.
    """
    return breaches(path, lambda model: [*_opset(model), *_shapes(model), *_zero_points(model), *_biases(model)])


def _opset(model: Any) -> list[str]:
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    return [f"opset {opset} is newer than {OPSET}: export with export.onnx.opset {OPSET}"] if opset > OPSET else []


def _shapes(model: Any) -> list[str]:
    dynamic = [
        port.name for port in model.graph.input if any(dim.dim_value <= 0 for dim in port.type.tensor_type.shape.dim)
    ]
    return [f"input {name} has a dynamic shape: export static shapes" for name in dynamic]


def _quantizers(model: Any) -> list[Any]:
    return [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]


def _zero_points(model: Any) -> list[str]:
    import onnx

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    wrong = set()
    for node in _quantizers(model):
        point = stored.get(node.input[2]) if len(node.input) > 2 else None
        if point is None:
            continue
        kind = onnx.TensorProto.DataType.Name(point.data_type)
        if kind == "INT32":
            continue  # a bias: _biases reports it
        if kind not in SYMMETRIC_TYPES:
            wrong.add(f"{node.op_type} in {kind.lower()}: TensorRT takes int8 only")
        elif onnx.numpy_helper.to_array(point).any():
            wrong.add(f"{node.op_type} with a zero point that is not 0: TensorRT takes symmetric int8 only")
    return sorted(wrong)


def _biases(model: Any) -> list[str]:
    import onnx

    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    biases = [n for n in _quantizers(model) if stored.get(n.input[0]) == onnx.TensorProto.INT32]
    return [f"{len(biases)} biases are dequantized from int32: leave biases in float"] if biases else []
