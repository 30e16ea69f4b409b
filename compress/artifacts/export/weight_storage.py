"""Rounded weights of a float graph, stored in 4, 8 or 16 bits, and made float when a runtime loads the file.

A constant is converted to float32 and multiplied by its scales (and reshaped, where scales are by group of channels):
all constants, which OpenVINO, whose file is made of the ONNX graph, and ONNX Runtime compute once, while loading.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from compress.artifacts.export.four_bits import MOST, int4_tensor, put_before_use, use_int4_opset


def store_rounded(protos: Iterable[Any], weights: Iterable[Any]) -> None:
    """Put ``weights`` (``passes.weights.RoundedWeight``) in the place of those initializers of ``protos`` (ModelProto)
    that hold their numbers; the opset becomes 21 where one has 4 bits. Raises RuntimeError for one that is not there.
    """
    wanted = {_key(weight.exact.numpy()): weight for weight in weights}
    seen = {key for proto in protos for key in _store_in(proto, wanted)}
    if missing := len(wanted) - len(seen):
        raise RuntimeError(f"{missing} of {len(wanted)} rounded weights are not in the graph")


_Key = tuple[tuple[int, ...], bytes]


def _store_in(proto: Any, wanted: Mapping[_Key, Any]) -> set[_Key]:
    """Those of ``wanted`` that are in it."""
    import onnx
    from onnx import numpy_helper

    chains, added, seen = {}, [], set()
    for tensor in proto.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        key = _key(numpy_helper.to_array(tensor))
        if key in wanted:
            seen.add(key)
            chains[tensor.name], constants = _store(proto, tensor, wanted[key])
            added += constants
    proto.graph.initializer.extend(added)
    put_before_use(proto, chains)
    return seen


def _key(values: np.ndarray) -> _Key:
    return values.shape, np.ascontiguousarray(values).tobytes()


def _store(proto: Any, tensor: Any, weight: Any) -> tuple[list[Any], list[Any]]:
    """Make ``tensor`` the rounded one; the nodes that make floats of it, and their constants."""
    import onnx
    from onnx import numpy_helper

    name, values = tensor.name, weight.values.numpy()
    if values.dtype == np.int8 and np.abs(values).max() <= MOST:
        tensor.CopyFrom(int4_tensor(values, name))
        use_int4_opset(proto)
    else:
        tensor.CopyFrom(numpy_helper.from_array(values, name))
    nodes = [onnx.helper.make_node("Cast", [name], [f"{name}_cast"], to=onnx.TensorProto.FLOAT)]
    others = {}
    if weight.scales is not None:
        others["Mul"] = weight.scales.numpy()
    if values.ndim > weight.exact.ndim:
        others["Reshape"] = np.array(weight.exact.shape)
    for kind in others:
        read, made = nodes[-1].output[0], f"{name}_{kind.lower()}"
        nodes.append(onnx.helper.make_node(kind, [read, f"{made}_by"], [made]))
    return nodes, [numpy_helper.from_array(other, f"{name}_{kind.lower()}_by") for kind, other in others.items()]
