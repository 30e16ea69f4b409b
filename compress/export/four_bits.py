"""int8 weights that fit 4 bits, stored in 4: half the bytes, and the same integers, computed when a runtime loads them.

The kernels stay int8. In both formats a conversion to int8 stands behind the constant: OpenVINO and ONNX Runtime fold
it while loading, before they look for int8 convolutions. (An int4 constant straight into the dequantization makes
OpenVINO's convolutions float.) ExecuTorch stores what its kernels read, and XNNPACK has no convolution with 4-bit
weights.
"""

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

    graph = proto.graph
    packed = {}
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and fits(values := onnx.numpy_helper.to_array(tensor)):
            packed[tensor.name] = f"{tensor.name}_int8"
            int4 = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.INT4)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(int4), tensor.name))
    if not packed:
        return
    nodes, waiting = [], dict(packed)
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name in waiting:
                nodes.append(onnx.helper.make_node("Cast", [name], [waiting.pop(name)], to=onnx.TensorProto.INT8))
            node.input[i] = packed.get(name, name)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    opset = next(o for o in proto.opset_import if o.domain in ("", "ai.onnx"))
    opset.version = max(opset.version, ONNX_OPSET)
