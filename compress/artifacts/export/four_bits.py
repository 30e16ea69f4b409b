"""int8 weights that fit 4 bits, stored in 4: half the bytes, and the same integers, computed when a runtime loads them.

The kernels stay int8. In both formats a conversion to int8 stands behind the constant: OpenVINO and ONNX Runtime fold
it while loading, before they look for int8 convolutions. (An int4 constant straight into the dequantization makes
OpenVINO's convolutions float.) ExecuTorch stores what its kernels read, and XNNPACK has no convolution with 4-bit
weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LEAST, MOST = -8, 7
ONNX_OPSET = 21  # the first with INT4


def fits(values: np.ndarray) -> bool:
    """Whether ``values`` are a convolution's int8 weights (4 dimensions), all between -8 and 7."""
    return values.dtype == np.int8 and values.ndim == 4 and bool(values.min() >= LEAST and values.max() <= MOST)


def pack_openvino(model: Any) -> None:
    """Make the weights of ``model`` (ov.Model) that fit i4 constants, converted to i8."""
    from openvino import Type
    from openvino import opset13 as ops

    for op in model.get_ordered_ops():
        if op.get_type_name() == "Constant" and op.get_element_type() == Type.i8 and fits(op.data):
            users = op.output(0).get_target_inputs()
            converted = ops.convert(ops.constant(op.data, Type.i4), Type.i8)
            for user in users:
                user.replace_source_output(converted.output(0))


def pack_onnx(proto: Any) -> None:
    """Make the weights of ``proto`` (ModelProto) that fit INT4 initializers, cast to INT8 before their first use; its
    opset becomes 21 where there are any."""
    import onnx

    casts = {}
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and fits(values := onnx.numpy_helper.to_array(tensor)):
            tensor.CopyFrom(int4_tensor(values, tensor.name))
            cast = onnx.helper.make_node("Cast", [tensor.name], [f"{tensor.name}_int8"], to=onnx.TensorProto.INT8)
            casts[tensor.name] = [cast]
    put_before_use(proto, casts)
    if casts:
        use_int4_opset(proto)


def int4_tensor(values: np.ndarray, name: str) -> Any:
    """TensorProto INT4 of int8 ``values``."""
    import onnx

    int4 = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.INT4)
    return onnx.numpy_helper.from_array(values.astype(int4), name)


def put_before_use(proto: Any, chains: Mapping[str, Sequence[Any]]) -> None:
    """Put each initializer's chain of nodes before the first node that reads it, and have all readers read the chain's
    last node. The recorded types of these initializers are no longer true, and are removed.
    """
    graph, waiting = proto.graph, dict(chains)
    nodes: list[Any] = []
    for node in graph.node:
        for i, name in enumerate(node.input):
            nodes += waiting.pop(name, [])
            if name in chains:
                node.input[i] = chains[name][-1].output[0]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    noted = [value for value in graph.value_info if value.name not in chains]
    del graph.value_info[:]
    graph.value_info.extend(noted)


def use_int4_opset(proto: Any) -> None:
    """Opset 21, unless it is newer."""
    opset = next(o for o in proto.opset_import if o.domain in ("", "ai.onnx"))
    opset.version = max(opset.version, ONNX_OPSET)
