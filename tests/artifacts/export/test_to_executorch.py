"""ExecuTorch programs: XNNPACK takes the convolutions, weights are stored once, the runtime gives what torch gives."""

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from compress.artifacts.export.to_executorch import save_executorch, to_executorch
from compress.artifacts.inspect.delegation import coverage
from compress.artifacts.runtime.open import open_runner
from compress.elir.model import Elir

Pair = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def program(folded: Elir) -> bytes:
    return to_executorch(folded, 64)


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
    found = coverage(tmp_path / "model.pte")
    assert {item.operator for item in found.outside} <= {"_to_copy"}
    assert found.delegates == 1


@pytest.mark.slow
def test_nothing_of_the_machine_is_inside(program: bytes) -> None:
    assert b"/tmp" not in program and b"site-packages" not in program
