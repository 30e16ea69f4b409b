"""An Ethos-U: Arm's quantizer, TOSA and Vela, really run, and what Vela estimates."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.artifacts.artifact import plan_artifacts
from compress.artifacts.backends.ethos_u import EthosU, vela_summary
from compress.artifacts.inspect.vela import vela_estimate
from compress.artifacts.writer import Writer
from compress.errors import InputError, Unavailable
from compress.passes.base import Subject
from compress.passes.quantize.engines.torchao import quantize
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.passes import PtqSettings
from compress.recipe.schema import Recipe
from compress.recipe.validation import load_model
from compress.targets.bench import bench_target
from compress.targets.entries import Bench
from compress.targets.tools.ethos_u_vela import EthosUVela

RECIPE = {
    "version": 1,
    "name": "tiny",
    "model": {"image_size": 64},
    "passes": [{"fold_time": {}}, {"ptq": {"engine": "torchao"}}],
    "export": {"executorch": {"backend": "ethos_u", "accelerator": "ethos-u55-256"}},
}


class Layers(nn.Module):
    """What ELIR has that an Ethos-U has no operator of: GroupNorm, SiLU, tanh, padding at a stride of 4; and both
    ways to enlarge."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.act = nn.Conv2d(3, 32, 8, 4, padding=2), nn.GroupNorm(8, 32), nn.SiLU()
        self.middle, self.enlarge = nn.Conv2d(32, 32, 3, 2, padding=1), nn.Upsample(scale_factor=2)
        self.last, self.transposed = nn.Conv2d(32, 3, 3, padding=1), nn.ConvTranspose2d(32, 32, 2, 2)

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        x = self.middle(self.act(self.norm(self.first(lq))))
        return lq + torch.tanh(self.last(self.enlarge(self.enlarge(self.transposed(x)))))


def pairs() -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        yield torch.rand(1, 3, 64, 64, generator=generator), torch.randn(1, 16, 8, 8, generator=generator)


def subject(accelerator: str) -> Subject:
    model = Layers().eval().requires_grad_(False)
    return Subject(model, pairs, 4, (64, 64), ("executorch",), accelerator=accelerator)  # type: ignore[arg-type]


def test_without_its_compiler_the_command_that_sets_it_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="needs tosa_serializer, not installed: compress targets setup ethos-u-vela"):
        EthosU().require()


@pytest.fixture(scope="module")
def compiler() -> Iterator[None]:
    """Arm's packages, fetched from the package index."""
    before = list(sys.path)
    tool = EthosUVela()
    tool.setup(Progress("silent"))
    tool.enable()
    EthosU().require()
    yield
    sys.path[:] = before


def test_the_whole_graph_is_compiled_and_estimated(compiler: None, tmp_path: Path) -> None:
    given = subject("ethos-u55-256")
    quantized = quantize(given, PtqSettings(engine="torchao"))
    module = quantized.modules["ethos_u"]
    lq, noise = next(pairs())
    error = given.model(lq, noise).clamp(0, 1) - module(lq, noise)
    assert error.abs().max() < 0.1, "int8 of every operator is near the float model"
    recipe = Recipe.model_validate(RECIPE)
    (artifact,) = plan_artifacts(recipe)
    writer, program = Writer(recipe, tmp_path), tmp_path / artifact.entry
    writer.write_int8(quantized, artifact)
    writer.lowered(artifact)
    assert b"EthosUBackend" in program.read_bytes()
    target = load_model(DeployTarget, find("targets", "arm-ethos-u55-256"))
    (row,) = bench_target(Bench({artifact: program}, target, {}, "quick", Progress("silent")), 1)
    assert (row.evidence, row.accepted, row.latency_ms, row.why) == ("estimated", True, None, artifact.not_run)
    assert row.delegated and row.delegated.delegates == 1
    outside = {item.operator: item.why for item in row.delegated.outside}
    assert outside.keys() <= {"quantize_per_tensor", "dequantize_per_tensor"}
    assert all(why.endswith("an Ethos-U has none") for why in outside.values())
    estimate = row.estimate
    assert estimate and estimate.compiler == "Vela, Ethos_U55_High_End_Embedded, Shared_Sram"
    assert estimate.cycles and estimate.frequency_mhz
    assert estimate.latency_ms == pytest.approx(estimate.cycles / estimate.frequency_mhz / 1000)
    assert estimate.memory_kib["sram"] > 0 and estimate.traffic_bytes["sram"] > 0


def test_no_layer_stays_float() -> None:
    with pytest.raises(InputError, match=r"passes\.ptq\.keep_float: an Ethos-U has no float"):
        quantize(subject("ethos-u55-256"), PtqSettings(engine="torchao", keep_float=["last"]))


def test_a_program_of_which_vela_said_nothing_has_no_estimate(tmp_path: Path) -> None:
    assert vela_estimate(tmp_path / "model.pte") is None and vela_summary(tmp_path) == {}
    (tmp_path / "model.json").write_text("{}")
    assert vela_estimate(tmp_path / "model.pte") is None
