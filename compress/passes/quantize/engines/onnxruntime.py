"""onnxruntime: its own ``quantize_static`` on the float ONNX graph, QDQ; OpenVINO reads the same file."""

from pathlib import Path
from typing import Any

from compress.files import temporary_folder
from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.engines.common import excluded_nodes
from compress.passes.quantize.engines.nncf import onnx_weights
from compress.passes.quantize.feeds import Feeds, Reader
from compress.quiet import quiet
from compress.recipe.passes import PtqSettings

OP_TYPES = ["Conv", "ConvTranspose", "Gemm"]  # its default takes a decomposed GroupNorm apart as well


def quantize(subject: Subject, settings: PtqSettings) -> QuantizedModel:
    """QDQ graph for ONNX Runtime and OpenVINO. Raises InputError when ``keep_float`` names no layer."""
    graph = subject.float_graph("onnx")
    ignored = excluded_nodes(subject, settings, list(onnx_weights(graph)))
    with quiet():
        proto = _quantize(graph, Reader(Feeds(subject)), settings, ignored)
    subject.notes.append(f"ptq: onnxruntime, {settings.weight_bits}-bit weights, {settings.range} ranges")
    return QuantizedModel("onnxruntime", graphs={"onnx": proto})


def _quantize(graph: Any, reader: Reader, settings: PtqSettings, ignored: list[str]) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    # A stride of one picture makes the calibrators merge after each; else the histogram's keeps every activation of
    # every picture. (CalibMaxIntermediateOutputs forgets what it has collected.)
    options: dict[str, Any] = {"CalibStridedMinMax": 1}
    if settings.range == "percentile":
        options["CalibPercentile"] = settings.percentile
    methods = {"min_max": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}
    with temporary_folder() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            graph,
            path,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OP_TYPES,
            per_channel=True,
            reduce_range=settings.weight_bits == 7,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=ignored,
            calibrate_method=methods[settings.range],
            extra_options=options,
        )
        return onnx.load(path)
