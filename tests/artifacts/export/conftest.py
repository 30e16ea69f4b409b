"""A small model in deployed form, two Euler steps, and its ONNX graph."""

from typing import Any

import pytest
import torch
from torch import Tensor

from compress.artifacts.export.to_onnx import to_onnx
from compress.elir.flow import FoldedFlow
from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig
from compress.passes.base import Subject
from compress.passes.collapse import Collapse
from compress.passes.fold_time import FoldTime
from compress.recipe.passes import CollapseSettings, FoldTimeSettings

SIZE = 64


def _folded(k_steps: int) -> Elir:
    torch.manual_seed(0)
    model = Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, k_steps=k_steps)).eval().requires_grad_(False)
    subject = Subject(model, lambda: iter(()), 0, (SIZE, SIZE), ())
    Collapse(CollapseSettings()).run(subject)
    FoldTime(FoldTimeSettings()).run(subject)
    assert isinstance(model.fmir, FoldedFlow)
    return model


@pytest.fixture(scope="session")
def folded() -> Elir:
    """Collapsed and folded, seeded random weights, K = 2; not to be changed."""
    return _folded(2)


@pytest.fixture(scope="session")
def folded_once() -> Elir:
    """``folded`` with K = 1, for what does not depend on the number of steps: its export takes half the time."""
    return _folded(1)


@pytest.fixture(scope="session")
def graph(folded: Elir) -> Any:
    """ONNX ModelProto of ``folded``."""
    return to_onnx(folded, (SIZE, SIZE))


@pytest.fixture(scope="session")
def pair() -> tuple[Tensor, Tensor]:
    """(lq, noise) of SIZE px."""
    generator = torch.Generator().manual_seed(3)
    return torch.rand(1, 3, SIZE, SIZE, generator=generator), torch.randn(noise_shape(SIZE, SIZE), generator=generator)


@pytest.fixture(scope="session")
def wanted(folded: Elir, pair: tuple[Tensor, Tensor]) -> Tensor:
    """What every artifact must give for ``pair``: (1, 3, SIZE, SIZE) in [0, 1]."""
    with torch.no_grad():
        return folded(*pair).clamp(0, 1)
