"""ExecuTorch programs: XNNPACK takes the convolutions, weights are stored once, the runtime gives what torch gives."""

import copy
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

import compress.artifacts.export.to_executorch as module
from compress.artifacts.backends.xnnpack import Xnnpack
from compress.artifacts.export.to_executorch import save_executorch, to_executorch
from compress.artifacts.inspect.delegation import coverage
from compress.artifacts.runtime.open import open_runner
from compress.elir.model import Elir

Pair = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def program(folded: Elir) -> bytes:
    return to_executorch(folded, (64, 64))


def run(program: bytes, folder: Path, lq: Tensor, noise: Tensor | None) -> np.ndarray:
    save_executorch(program, folder / "model.pte")
    runner = open_runner(folder / "model.pte", "executorch", 1)
    return runner.run(lq.numpy(), None if noise is None else noise.numpy())


@pytest.mark.slow
def test_it_gives_what_torch_gives(program: bytes, pair: Pair, wanted: Tensor, tmp_path: Path) -> None:
    np.testing.assert_allclose(run(program, tmp_path, *pair), wanted.numpy(), atol=1e-4)
    assert b"XnnpackBackend" in program


@pytest.mark.slow
def test_weights_of_the_steps_are_stored_once(program: bytes, folded: Elir) -> None:
    numbers = sum({id(p): p.numel() for p in folded.parameters()}.values())
    assert len(program) < 1.1 * 4 * numbers


@pytest.mark.slow
def test_nothing_that_computes_is_left_outside(program: bytes, tmp_path: Path) -> None:
    save_executorch(program, tmp_path / "model.pte")
    result = coverage(tmp_path / "model.pte")
    assert {item.operator for item in result.outside} <= {"_to_copy"}
    assert result.delegates == 1


@pytest.mark.slow
def test_the_layout_of_weights_in_memory_changes_nothing(program: bytes, folded: Elir) -> None:
    """XNNPACK's passes refuse weights in the one that training has."""
    assert to_executorch(copy.deepcopy(folded).to(memory_format=torch.channels_last), (64, 64)) == program


@pytest.mark.slow
def test_nothing_of_the_machine_is_inside(program: bytes) -> None:
    assert b"/tmp" not in program and b"site-packages" not in program


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        return torch.relu(self.conv(lq))


class Mixed(Plain):
    """With what XNNPACK's passes rewrite."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.act, self.linear = nn.BatchNorm2d(8), nn.PReLU(), nn.Linear(64, 32)
        self.enlarge = nn.UpsamplingBilinear2d(scale_factor=2)

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        return self.linear(self.enlarge(self.act(self.norm(self.conv(lq))))[..., :64])


class Written(Plain):
    """With operators that write to their input, and such as tables decompose or keep."""

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        y = self.conv(lq).relu_().add_(1)
        y[:, 1] = 0
        return torch.cat([y, nn.functional.silu(y), nn.functional.pad(y, (0, 0, 0, 0)), y, y, y], 1) + torch.arange(64)


@pytest.mark.parametrize("float16", [False, True])
@pytest.mark.parametrize("kind", [Plain, Mixed, Written])
def test_what_is_left_out_changes_nothing(
    kind: type[nn.Module], float16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes and decompositions that change nothing, and Python code of graphs that nobody calls."""
    model = kind().eval().requires_grad_(False)
    program = to_executorch(model, (64, 64), float16=float16)
    monkeypatch.setattr(Xnnpack, "passes", lambda self: nullcontext())
    monkeypatch.setattr(module, "_compiled_on_demand", nullcontext)
    assert to_executorch(model, (64, 64), float16=float16) == program


def test_nothing_of_torch_stays_changed(program: bytes) -> None:
    from executorch.exir.pass_base import ExportPass  # seconds, which every run would take that collects this file

    assert "__getattr__" not in vars(GraphModule) and GraphModule.recompile.__module__ == "torch.fx.graph_module"
    assert "call" not in vars(ExportPass)
    assert ExportedProgram.run_decompositions.__module__ == "torch.export.exported_program"
