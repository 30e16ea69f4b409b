"""nncf on both graphs: run in their runtimes."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.passes.quantize.engines.nncf import FLOAT_TYPES, _range_estimator
from compress.recipe.passes import PtqSettings

pytestmark = pytest.mark.slow


def settings(**given: Any) -> PtqSettings:
    return PtqSettings.model_validate({"engine": "nncf", **given})


@pytest.mark.numerics
def test_openvino(
    folded: Callable[..., Subject], closeness: Callable[..., float], run_openvino: Callable, capfd: Any
) -> None:
    subject = folded(("openvino",))
    Ptq(settings()).run(subject)
    assert capfd.readouterr().out == ""
    model = subject.quantized.graphs["openvino"]
    kinds = Counter(node.get_type_name() for node in model.get_ops())
    convs = kinds["Convolution"] + kinds["ConvolutionBackpropData"]
    int8 = [node.data for node in model.get_ops() if node.get_element_type().to_string() == "i8"]
    layers = [m for m in subject.model.modules() if hasattr(m, "kernel_size")]
    assert convs == len(layers) and len(int8) >= convs - 2
    assert max(int(np.abs(values.astype(np.int32)).max()) for values in int8) <= 64
    assert kinds["FakeQuantize"] <= convs  # inputs of convolutions only: sums and norms stay float
    assert closeness(subject, run_openvino(model)) > 26


@pytest.mark.numerics
def test_onnx(folded: Callable[..., Subject], closeness: Callable[..., float], run_onnx: Callable, capfd: Any) -> None:
    subject = folded(("onnx",))
    Ptq(settings(bias_correction=True, range="min_max", keep_float=["dec"])).run(subject)
    assert capfd.readouterr().out == ""
    proto = subject.quantized.graphs["onnx"]
    kinds = Counter(node.op_type for node in proto.graph.node)
    int8 = [t for t in proto.graph.initializer if t.data_type == 3 and len(t.dims) == 4]
    layers = [n for n, m in subject.model.named_modules() if hasattr(m, "kernel_size") and not n.startswith("dec.")]
    assert kinds["QuantizeLinear"] > len(layers) / 2 and len(int8) == len(layers)
    assert max(int(np.abs(numpy_helper.to_array(t).astype(np.int32)).max()) for t in int8) <= 64
    floats = [t.name for t in proto.graph.initializer if t.data_type == 1 and t.name.endswith(".weight")]
    decoder = [n for n, m in subject.model.named_modules() if n.startswith("dec.") and hasattr(m, "kernel_size")]
    assert len([name for name in floats if ".dec." in name]) == len(decoder)
    exact = closeness(subject, run_onnx(proto, exact=True))
    assert exact > 26 and closeness(subject, run_onnx(proto)) > exact - 3


@pytest.mark.parametrize(
    ("given", "statistics", "aggregators"),
    [
        ({"range": "min_max"}, ("min", "max"), ("min", "max")),
        ({"range": "mse"}, ("raw", "raw"), ("histogram", "histogram")),
        ({"range": "percentile", "percentile": 99.0}, ("quantile", "quantile"), ("mean", "mean")),
    ],
)
def test_ranges_map_to_nncfs_estimators(
    given: dict[str, Any], statistics: tuple[str, str], aggregators: tuple[str, str]
) -> None:
    estimator = _range_estimator(settings(**given))
    assert (estimator.min.statistics_type.value, estimator.max.statistics_type.value) == statistics
    assert (estimator.min.aggregator_type.value, estimator.max.aggregator_type.value) == aggregators
    if "percentile" in given:
        assert estimator.min.quantile_outlier_prob == pytest.approx(0.005)


def test_convolutions_are_never_among_the_types_left_float() -> None:
    assert not {t for types in FLOAT_TYPES.values() for t in types if t.startswith("Conv") and t != "Concat"}
