"""onnxruntime's own quantizer, streamed; its file read by OpenVINO too."""

import gc
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from torch import Tensor

from compress.artifacts.export.to_openvino import to_openvino
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.recipe.passes import PtqSettings

pytestmark = pytest.mark.slow


def quantize(subject: Subject, **given: Any) -> Any:
    Ptq(PtqSettings.model_validate({"engine": "onnxruntime", **given})).run(subject)
    return subject.quantized.graphs["onnx"]


@pytest.mark.numerics
def test_quantized_and_run(
    folded: Callable[..., Subject],
    closeness: Callable[..., float],
    run_onnx: Callable,
    run_openvino: Callable,
    capfd: Any,
) -> None:
    subject = folded()
    proto = quantize(subject)
    assert capfd.readouterr().out == ""
    kinds = Counter(node.op_type for node in proto.graph.node)
    weights = [numpy_helper.to_array(t) for t in proto.graph.initializer if t.data_type == 3 and len(t.dims) == 4]
    layers = [m for m in subject.model.modules() if hasattr(m, "kernel_size")]
    assert len(weights) == kinds["Conv"] + kinds["ConvTranspose"] == len(layers)
    assert max(int(np.abs(w.astype(np.int32)).max()) for w in weights) <= 64
    outputs = {name for node in proto.graph.node if node.op_type == "InstanceNormalization" for name in node.output}
    quantized = {node.input[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"}
    assert not outputs & quantized  # GroupNorm stays whole
    exact = closeness(subject, run_onnx(proto, exact=True))
    assert exact > 24
    for run in (run_onnx(proto), run_openvino(to_openvino(proto))):
        assert closeness(subject, run) > exact - 3


def test_min_max_and_kept_layers(folded: Callable[..., Subject], closeness: Callable, run_onnx: Callable) -> None:
    subject = folded(("onnx",))
    proto = quantize(subject, range="min_max", weight_bits=8, pair_limit=False, keep_float=["dec"])
    floats = [t.name for t in proto.graph.initializer if t.data_type == 1 and len(t.dims) == 4]
    decoder = [n for n, m in subject.model.named_modules() if n.startswith("dec.") and hasattr(m, "kernel_size")]
    assert len(floats) == len(decoder)
    weights = [numpy_helper.to_array(t) for t in proto.graph.initializer if t.data_type == 3 and len(t.dims) == 4]
    assert max(int(np.abs(w.astype(np.int32)).max()) for w in weights) >= 127
    assert closeness(subject, run_onnx(proto, exact=True)) > 20  # its 8-bit kernels need VNNI


def test_pictures_are_let_go_one_by_one(folded: Callable[..., Subject]) -> None:
    subject = folded(("onnx",))
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    pairs = subject.calibration

    def watched() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal most
        for lq, noise in pairs():
            alive.append(weakref.ref(lq))
            yield lq, noise
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))

    subject.calibration = watched
    quantize(subject)
    assert len(alive) == subject.calibration_count
    assert most <= 2
