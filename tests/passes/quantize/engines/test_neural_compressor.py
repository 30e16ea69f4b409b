"""neural_compressor, really run; and what is said where it is not installed."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compress.artifacts.export.to_onnx import to_onnx
from compress.artifacts.export.to_openvino import to_openvino
from compress.errors import Unavailable
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.passes.quantize.round_weights import limit_pairs
from compress.recipe.passes import PtqSettings

pytestmark = pytest.mark.slow

SETTINGS = PtqSettings.model_validate({"engine": "neural_compressor"})


@pytest.mark.numerics
def test_quantized_exported_and_run(
    folded: Callable[..., Subject],
    closeness: Callable[..., float],
    run_onnx: Callable,
    run_openvino: Callable,
    capfd: Any,
) -> None:
    subject = folded()
    Ptq(SETTINGS).run(subject)
    assert capfd.readouterr().out == ""
    module = subject.quantized.modules["openvino"]
    assert subject.quantized.modules["onnxruntime"] is module
    weights = [b for b in module.buffers() if b.dtype == torch.int8]
    convs = [m for m in subject.model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(weights) == len(convs)  # folded to int8; transposed convolutions stay float
    assert max(int(w.abs().max()) for w in weights) == 63
    proto = to_onnx(module, subject.shape)
    kinds = Counter(node.op_type for node in proto.graph.node)
    assert kinds["QuantizeLinear"] > len(convs) / 2
    int8 = [t for t in proto.graph.initializer if t.data_type == 3 and len(t.dims) == 4]
    assert len(int8) == len(convs)
    simulated = closeness(subject, module)
    assert simulated > 26
    for run in (run_onnx(proto), run_openvino(to_openvino(proto))):
        assert closeness(subject, run) > simulated - 3


def test_kept_layers_and_eight_bits(folded: Callable[..., Subject]) -> None:
    subject = folded(("onnx",))
    given = {"engine": "neural_compressor", "weight_bits": 8, "range": "min_max", "keep_float": ["dec", "mmse"]}
    Ptq(PtqSettings.model_validate(given)).run(subject)
    weights = [b for b in subject.quantized.modules["onnxruntime"].buffers() if b.dtype == torch.int8]
    convs = [n for n, m in subject.model.named_modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(weights) == len([n for n in convs if not n.startswith(("dec.", "mmse."))])
    paired = [w.int() for w in weights if w.shape[1] % 2 == 0]
    assert 64 < max(int(w.abs().max()) for w in paired) <= 127
    assert all(torch.equal(limit_pairs(w, 1), w) for w in paired)


def test_absent_it_says_how_to_get_it(folded: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "neural_compressor"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "neural_compressor", None)  # as Python itself marks what is not to be found
    with pytest.raises(Unavailable, match=r"pip install 'elir-compress\[neural-compressor\]'") as error:
        Ptq(SETTINGS).run(folded())
    assert error.value.exit_code == 4
