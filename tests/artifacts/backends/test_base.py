"""Every backend that installs here lowers an ELIR's kinds of layers, whole, in each precision that it takes."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.artifacts.backends import BACKENDS, backend_in
from compress.artifacts.export.to_executorch import to_executorch
from compress.artifacts.inspect.delegation import coverage
from compress.artifacts.runtime.open import open_runner
from compress.errors import Unavailable
from compress.passes.quantize.modules import QuantConv
from compress.passes.quantize.round_weights import quantize_weight
from compress.passes.quantize.schemes import SCHEMES, ActivationRange
from compress.recipe.backends import TAKES, Backend

WEIGHTS = 3 * 32 * 9 + 32 * 32 * 9 + 32 * 3 * 9


class Layers(nn.Module):
    """A convolution, a norm, an activation and an enlargement, as ELIR has them."""

    def __init__(self, backend: Backend, precision: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.act = nn.Conv2d(3, 32, 3, padding=1), nn.GroupNorm(8, 32), nn.SiLU()
        self.middle: nn.Module = nn.Conv2d(32, 32, 3, 2, padding=1)
        if precision == "int8":
            range_ = ActivationRange(-4.0, 4.0)
            weight = quantize_weight(self.middle, 8, pair_limit=True)  # type: ignore[arg-type]
            self.middle = QuantConv(self.middle, weight, range_, range_, SCHEMES[BACKENDS[backend].scheme])  # type: ignore[arg-type]
        self.enlarge, self.last = nn.Upsample(scale_factor=2), nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        return lq + self.last(self.enlarge(self.middle(self.act(self.norm(self.first(lq))))))


LOWERED: list[tuple[Backend, str]] = [
    ("vulkan", "fp16"),
    ("vulkan", "int8"),
    ("coreml", "fp32"),
    ("coreml", "int8"),
    ("openvino", "fp32"),
    ("openvino", "fp16"),
]


@pytest.mark.parametrize(("name", "precision"), LOWERED)
def test_it_takes_the_whole_graph_and_says_that_it_is_not_run(name: Backend, precision: str, tmp_path: Path) -> None:
    model = Layers(name, precision).eval().requires_grad_(False)
    program = to_executorch(model, (64, 64), float16=precision == "fp16", backend=BACKENDS[name])
    path = tmp_path / "model.pte"
    path.write_bytes(program)
    assert backend_in(program) is BACKENDS[name]
    covered = coverage(path)
    assert covered.delegates == 1 and {item.operator for item in covered.outside} <= {"_to_copy"}
    if name == "vulkan":
        assert (b"et_vk.q8ta_conv2d" in program) == (precision == "int8"), "the int8 kernel is chosen"
    if precision == "fp16" and name == "vulkan":
        assert len(program) < 4 * WEIGHTS, "weights are stored in 16 bits"
    if BACKENDS[name].not_run:
        with pytest.raises(Unavailable, match=f"model.pte: is a program for {BACKENDS[name].title}, and not run here:"):
            open_runner(path, "executorch", 1)


def test_every_backend_but_the_one_that_runs_here_says_why_it_does_not() -> None:
    silent = {name for name in TAKES if not BACKENDS[name].not_run}
    assert silent == ({"xnnpack", "coreml"} if sys.platform == "darwin" else {"xnnpack"})
    assert BACKENDS.keys() == TAKES.keys()
    for backend in BACKENDS.values():
        assert "\n" not in backend.not_run and backend.scheme in (*SCHEMES, "ethos_u")


def test_a_compiler_that_is_not_installed_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"Core ML needs coremltools, not installed: pip install coremltools") as told:
        BACKENDS["coreml"].require()
    assert told.value.exit_code == 4 and "\n" not in str(told.value)
    BACKENDS["xnnpack"].require()
