"""What a file holds: how many of the convolutions' weights in how many bits."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from math import prod
from pathlib import Path

from compress.artifacts.inspect.external_data import weights_of

Shape = tuple[int, ...]
ONNX_BITS = {"INT4": 4, "INT8": 8, "FLOAT16": 16, "FLOAT": 32}


def stored_weights(graphs: Iterable[Path], format: str) -> dict[str, int] | None:
    """Weights of convolutions by the bits that each takes in the files, fewest bits first: {"4": 5000000, "8": 800000}.

    None for ExecuTorch, whose files tell nothing of it.
    """
    if format == "executorch":
        return None
    counts: Counter[int] = Counter()
    for shape, bits in chain.from_iterable(map(_openvino if format == "openvino" else _onnx, graphs)):
        # Channels, or groups and channels, then the kernel; biases, scales and a noise inside have 1 in one of them.
        if len(shape) >= 4 and min(shape[:-2]) > 1:
            counts[bits] += prod(shape)
    return {str(bits): count for bits, count in sorted(counts.items())}


def _openvino(entry: Path) -> Iterator[tuple[Shape, int]]:
    import openvino

    for op in openvino.Core().read_model(entry, weights_of(entry)).get_ops():
        if op.get_type_name() == "Constant":
            yield tuple(op.get_output_shape(0)), op.get_element_type().bitwidth


def _onnx(entry: Path) -> Iterator[tuple[Shape, int]]:
    import onnx

    for tensor in onnx.load(entry).graph.initializer:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        if kind in ONNX_BITS:
            yield tuple(tensor.dims), ONNX_BITS[kind]
