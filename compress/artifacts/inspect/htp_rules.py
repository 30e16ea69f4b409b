"""What a Hexagon NPU asks of an ONNX file, checked without Qualcomm's compiler: every operator in quantized form."""

from collections import Counter
from pathlib import Path
from typing import Any

from compress.artifacts.inspect.onnx_rules import breaches

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
ABSORBED = ("Relu", "Clip")
"""What may stand between an operator and its quantizer, whose range does the same."""
READS_ONE = ("Resize",)
"""Operators whose further inputs are no tensors of the picture."""


def lint(path: Path) -> list[str]:
    """One line with the number of operators in float, by type; of a file whose operators are all in quantized form,
    none. That form: a DequantizeLinear before each float input, a QuantizeLinear behind each output.

    Raises VerificationError for a file that cannot be read.
    """
    return breaches(path, lambda model: _line(Counter(node.op_type for node in _in_float(model.graph))))


def _line(counts: "Counter[str]") -> list[str]:
    if not counts:
        return []
    types = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
    return [
        f"{counts.total()} operators are in float ({types}), which an NPU from version 73 on computes in float16, and "
        "an older one refuses: set export.onnx.htp to true, and use onnx-int8-htp"
    ]


def _in_float(graph: Any) -> list[Any]:
    from onnx import TensorProto

    floats = {
        tensor.name for tensor in graph.initializer if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
    } | {port.name for port in graph.input}
    makers = {name: node.op_type for node in graph.node for name in node.output}
    read, read_in_float = set[str](), set[str]()

    def dequantized(name: str) -> bool:
        return makers.get(name, "DequantizeLinear") == "DequantizeLinear" and name not in floats

    def quantized(name: str) -> bool:
        return name in read and name not in read_in_float

    for node in reversed(graph.node):  # an ONNX graph is in order: what reads a node's output has been seen before it
        read.update(node.input)
        if node.op_type != "QuantizeLinear" and not (node.op_type in ABSORBED and quantized(node.output[0])):
            read_in_float.update(node.input)

    def in_quantized_form(node: Any) -> bool:
        inputs = node.input[:1] if node.op_type in READS_ONE else node.input
        before = node.op_type in ABSORBED or all(map(dequantized, inputs))
        return before and all(map(quantized, node.output))

    return [node for node in graph.node if node.op_type not in QUANTIZERS and not in_quantized_form(node)]
