from pathlib import Path

import numpy as np
import pytest
import torch

from compress.artifacts.export.to_onnx import save_onnx, to_onnx
from compress.artifacts.inspect import shares
from compress.artifacts.inspect.shares import OTHER, onnx_shares
from compress.elir.model import Elir, ElirConfig
from compress.passes.base import Subject
from compress.passes.collapse import Collapse
from compress.passes.fold_time import FoldTime
from compress.recipe.passes import CollapseSettings, FoldTimeSettings

SIZE = 64


@pytest.fixture(scope="module")
def model() -> Elir:
    torch.manual_seed(0)
    made = Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, k_steps=2)).eval().requires_grad_(False)
    subject = Subject(made, lambda: iter(()), 0, (SIZE, SIZE), ())
    Collapse(CollapseSettings()).run(subject)
    FoldTime(FoldTimeSettings()).run(subject)
    return made


@pytest.fixture(scope="module")
def artifact(model: Elir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shares") / "model.onnx"
    save_onnx(to_onnx(model, (SIZE, SIZE)), path)
    return path


@pytest.fixture()
def inputs() -> dict[str, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    lq, noise = torch.rand(1, 3, SIZE, SIZE, generator=generator), torch.randn(1, 16, 8, 8, generator=generator)
    return {"lq": lq.numpy(), "noise": noise.numpy()}


def test_stages_sum_to_the_file_and_every_step_has_its_time(artifact: Path, inputs: dict[str, np.ndarray]) -> None:
    result = onnx_shares("onnx-int8", [artifact], 1, inputs)
    names = ["encoder", "MMSE estimator", "flow, step 1", "flow, step 2", "decoder"]
    assert [share.stage for share in result] == [*names, "flow, shared by the steps", OTHER]
    assert sum(share.bytes or 0 for share in result) == artifact.stat().st_size
    times = {share.stage: share.ms for share in result if share.ms is not None}
    assert list(times) == names and all(ms > 0 for ms in times.values())


def test_bytes_are_the_weights(artifact: Path, inputs: dict[str, np.ndarray], model: Elir) -> None:
    sizes = {share.stage: share.bytes for share in onnx_shares("onnx-int8", [artifact], 1, inputs)}
    own = 4 * sum(p.numel() for p in model.enc.parameters())
    assert own <= sizes["encoder"] < 1.2 * own


def test_a_file_without_the_networks_names_has_none(
    artifact: Path, inputs: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "_weights", lambda initializers: {})
    assert onnx_shares("onnx-int8", [artifact], 1, inputs) == []
