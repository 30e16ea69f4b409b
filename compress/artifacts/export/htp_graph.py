"""The graph of a quantized model for Hexagon NPUs: every operator between quantizers, 8-bit weights, 16-bit
activations. ONNX Runtime's own quantizer for Qualcomm's NPUs puts them; weights and biases are our engine's.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.artifacts.export.quantized_graph import convolution_nodes
from compress.passes.quantize.schemes import ActivationRange
from compress.quiet import quiet

if TYPE_CHECKING:
    from compress.elir.model import Elir
    from compress.passes.quantize.model import Layer

MARGIN = 1.25
"""Factor by which a range is wider than what calibration saw: 16 bits have levels to spare, and a clipped value is
lost.
"""


def htp_graph(
    float_graph: Any, model: "Elir", layers: "Mapping[str, Layer]", ranges: Mapping[str, ActivationRange]
) -> Any:
    """ONNX ModelProto of ``model`` with the integer weights of ``layers``, by convolution; a convolution without a
    layer has its own weight rounded to 8 bits. ``ranges``: of every tensor of ``float_graph``, the model's ModelProto.
    Raises RuntimeError where the graph is not the model's.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import save_and_reload_model_with_shape_infer

    proto = copy.deepcopy(float_graph)
    scales = _round(proto, model, layers)
    with quiet():
        proto = save_and_reload_model_with_shape_infer(proto)
        config = get_qnn_qdq_config(
            proto,
            None,
            activation_type=QuantType.QUInt16,
            weight_type=QuantType.QInt8,
            per_channel=True,
            init_overrides=scales,
        )
        quantizer = QDQQuantizer(
            proto,
            config.per_channel,
            config.reduce_range,
            config.weight_type,
            config.activation_type,
            TensorsData(CalibrationMethod.MinMax, {name: _wider(range_) for name, range_ in ranges.items()}),
            [],
            [],
            config.op_types_to_quantize,
            config.extra_options,
        )
        return quantizer.quantize_model()


def _wider(range_: ActivationRange) -> tuple[np.ndarray, np.ndarray]:
    return np.array(range_.low * MARGIN, np.float32), np.array(range_.high * MARGIN, np.float32)


def _round(proto: Any, model: "Elir", layers: "Mapping[str, Layer]") -> dict[str, list[dict[str, Any]]]:
    """Put rounded weights and corrected biases into ``proto``; the weights' scales, as ONNX Runtime's quantizer takes
    them."""
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantType

    scales: dict[str, list[dict[str, Any]]] = {}
    names: dict[int, str] = {}  # of weights, by the id of their tensor: Euler steps share them
    constants: dict[str, np.ndarray] = {}
    for node, name, conv in convolution_nodes(proto, model):
        if name not in layers:
            continue
        layer = layers[name]
        weight = layer.weight
        if id(conv.weight) not in names:
            names[id(conv.weight)] = new = f"{name}.rounded"
            shape = [1] * weight.values.ndim
            shape[weight.axis] = -1
            constants[new] = (weight.values * weight.scales.view(shape)).numpy()
            grid: dict[str, Any] = {"axis": weight.axis, "quant_type": QuantType.QInt8, "zero_point": np.int8(0)}
            scales[new] = [{**grid, "scale": np.float32(scale)} for scale in weight.scales.tolist()]
        node.input[1] = names[id(conv.weight)]
        if layer.bias is not None:
            constants[f"{name}.corrected"] = layer.bias.detach().numpy()
            node.input[2:] = [f"{name}.corrected"]
    read = {name for node in proto.graph.node for name in node.input}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name in read]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend([*kept, *(numpy_helper.from_array(v, name) for name, v in constants.items())])
    return scales
