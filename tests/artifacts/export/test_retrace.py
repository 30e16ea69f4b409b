"""The export without a second trace: the same bytes, and torch's own way where an operator needs it."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.onnx._internal.exporter import _fx_passes

from compress.artifacts.export import to_onnx as exporter
from compress.artifacts.export.retrace import without_retrace
from compress.elir.model import Elir
from compress.passes.base import Subject
from compress.passes.ptq import Ptq
from compress.recipe.passes import PtqSettings


def with_retrace(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(exporter, "without_retrace", nullcontext)
        return exporter.to_onnx(model, (64, 64))


@pytest.fixture()
def retraces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by an item at every second trace."""
    result: list[str] = []
    decompose = _fx_passes.decompose_with_registry

    def counted(*given: Any) -> Any:
        result.append("retrace")
        return decompose(*given)

    monkeypatch.setattr(_fx_passes, "decompose_with_registry", counted)
    return result


def test_a_float_model_gives_the_same_bytes(
    folded_once: Elir, monkeypatch: pytest.MonkeyPatch, retraces: list[str]
) -> None:
    given = exporter.to_onnx(folded_once, (64, 64))
    assert not retraces
    assert given.SerializeToString(deterministic=True) == with_retrace(folded_once, monkeypatch).SerializeToString(
        deterministic=True
    )
    assert retraces


def test_a_quantized_model_gives_the_same_bytes(
    folded_once: Elir, pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, retraces: list[str]
) -> None:
    subject = Subject(folded_once, lambda: iter([pair] * 8), 8, (64, 64), ("onnx",))
    Ptq(PtqSettings(rounding="nearest")).run(subject)
    module = subject.quantized.modules["tensorrt"]
    given = exporter.to_onnx(module, (64, 64))
    assert not retraces and any(node.op_type == "QuantizeLinear" for node in given.graph.node)
    assert given.SerializeToString(deterministic=True) == with_retrace(module, monkeypatch).SerializeToString(
        deterministic=True
    )


class Other(nn.Module):
    """An operator that ONNX has no translation for."""

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        return torch.nn.functional.softshrink(lq, 0.25) + 0 * noise.mean()


def test_an_operator_without_a_translation_is_decomposed_as_before(retraces: list[str]) -> None:
    graph = exporter.to_onnx(Other(), (64, 64))
    assert retraces and graph.graph.output[0].name == "hq"


def test_torchs_own_way_is_back_afterwards() -> None:
    before = _fx_passes.decompose_with_registry
    with pytest.raises(KeyboardInterrupt), without_retrace():
        assert _fx_passes.decompose_with_registry is not before
        raise KeyboardInterrupt
    assert _fx_passes.decompose_with_registry is before
