"""nncf: post-training quantization of the runtime's own graph, OpenVINO's and ONNX's separately.

Only convolutions are quantized: nncf's own choice, sums and norms too, rounds the residual stream at every block.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.engines.common import excluded_nodes
from compress.passes.quantize.feeds import Feeds
from compress.quiet import quiet
from compress.recipe.passes import PtqSettings

# Operators that nncf would quantize beside convolutions; names differ between OpenVINO and ONNX.
FLOAT_TYPES = {
    "openvino": ["Add", "Subtract", "Multiply", "Divide", "MVN", "Concat", "Sigmoid", "Swish", "Tanh", "Interpolate"],
    "onnx": ["Add", "Sub", "Mul", "Div", "InstanceNormalization", "Concat", "Sigmoid", "Tanh", "Resize"],
}


def quantize(subject: Subject, settings: PtqSettings) -> QuantizedModel:
    """One quantized graph per format. Raises InputError when ``keep_float`` names no layer."""
    formats = [name for name in FLOAT_TYPES if name in subject.formats]
    graphs = {name: _quantize(subject, settings, name) for name in formats}
    subject.notes.append(f"ptq: nncf, {settings.weight_bits}-bit weights, {settings.range} ranges, calibrated a format")
    return QuantizedModel("nncf", graphs=graphs)


def _quantize(subject: Subject, settings: PtqSettings, format_: str) -> Any:
    graph = subject.float_graph(format_)
    if format_ == "openvino":
        _fold_constants(graph)
    weights = _openvino_weights if format_ == "openvino" else onnx_weights
    ignored = excluded_nodes(subject, settings, list(weights(graph)))
    with quiet():
        import nncf

        return nncf.quantize(
            graph,
            nncf.Dataset(Feeds(subject)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=subject.calibration_count,
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(names=ignored, types=FLOAT_TYPES[format_], validate=False),
            advanced_parameters=_advanced(settings),
        )


def _advanced(settings: PtqSettings) -> Any:
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    return AdvancedQuantizationParameters(
        overflow_fix=OverflowFix.ENABLE if settings.weight_bits == 7 else OverflowFix.DISABLE,
        disable_bias_correction=not settings.bias_correction,
        activations_range_estimator_params=_range_estimator(settings),
    )


def _range_estimator(settings: PtqSettings) -> Any:
    """nncf's estimator of each ``range``: extremes of all pictures, quantiles averaged over them, or a histogram."""
    from nncf.quantization.range_estimator import (
        AggregatorType,
        RangeEstimatorParameters,
        RangeEstimatorParametersSet,
        StatisticsCollectorParameters,
        StatisticsType,
    )

    if settings.range == "min_max":
        return RangeEstimatorParametersSet.MINMAX
    if settings.range == "mse":
        return RangeEstimatorParametersSet.HISTOGRAM
    outside = (100 - settings.percentile) / 200
    side = StatisticsCollectorParameters(StatisticsType.QUANTILE, AggregatorType.MEAN, quantile_outlier_prob=outside)
    return RangeEstimatorParameters(side, side)


def _fold_constants(model: Any) -> None:
    """A graph fresh from ONNX shapes each bias at run time, and nncf corrects only biases that are constants."""
    from openvino._offline_transformations import apply_moc_transformations

    apply_moc_transformations(model, cf=True, smart_reshape=False)


def _openvino_weights(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    for node in model.get_ordered_ops():
        if node.get_type_name() in ("Convolution", "ConvolutionBackpropData"):
            yield node.get_friendly_name(), node.input_value(1).get_node().data


def onnx_weights(proto: Any) -> Iterator[tuple[str, np.ndarray]]:
    """(name, weight) of every convolution of a ModelProto, in its order."""
    from onnx import numpy_helper

    values = {t.name: t for t in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            yield node.name, numpy_helper.to_array(values[node.input[1]])
