"""The networks against golden values of the published architecture."""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.elir.flow import FoldedFlow
from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden_small.json").read_text())
NAMES = ["latent", "mmse", "step_1", "step_2", "step_3", "output"]


def fill(model: nn.Module) -> None:
    """Set every parameter from its full name."""
    for name, parameter in model.named_parameters():
        v = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(parameter.shape).astype(np.float32)
        if v.ndim > 1:
            v /= np.sqrt(v.size / v.shape[0])
        else:
            v = 1 + 0.1 * v if name.endswith("weight") else 0.05 * v
        parameter.data.copy_(torch.from_numpy(v))


def inputs(height: int, width: int) -> tuple[Tensor, Tensor]:
    """(lq, noise) for a picture of height x width pixels."""
    lq = 0.5 + 0.5 * np.sin(0.7 * np.arange(3 * height * width) + 0.3)
    noise = np.sin(0.7 * np.arange(16 * height * width // 64) + 1.1)
    return (
        torch.tensor(lq, dtype=torch.float32).reshape(1, 3, height, width),
        torch.tensor(noise, dtype=torch.float32).reshape(1, 16, height // 8, width // 8),
    )


def record(name: str) -> dict[str, Any]:
    if name.startswith("step_"):
        return GOLDEN["steps"][int(name[-1]) - 1]
    return GOLDEN["output_unclipped" if name == "output" else name]


@pytest.fixture(scope="module")
def model() -> Elir:
    c = GOLDEN["config"]
    config = ElirConfig(
        c["hid_channels"], c["n_mid_blocks"], c["c_hid"], c["n_rrdb"], False, c["k_steps"], c["sigma_s"]
    )
    model = Elir(config).eval().requires_grad_(False)
    fill(model)
    return model


@pytest.fixture(scope="module")
def golden_inputs() -> tuple[Tensor, Tensor]:
    return inputs(*GOLDEN["input_hw"])


@pytest.fixture(scope="module")
def stages(model: Elir, golden_inputs: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    return model.stages(*golden_inputs)


def test_stages_are_named_in_order(stages: dict[str, Tensor]) -> None:
    assert list(stages) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_stage_equals_golden_values(name: str, stages: dict[str, Tensor]) -> None:
    wanted, flat = record(name), stages[name].flatten()
    assert list(stages[name].shape) == wanted["shape"]
    assert flat.mean().item() == pytest.approx(wanted["mean"], abs=1e-4)
    assert flat.std().item() == pytest.approx(wanted["std"], abs=1e-4)
    torch.testing.assert_close(flat[:: flat.numel() // 16][:16], torch.tensor(wanted["values"]), atol=1e-4, rtol=0)


def test_folded_flow_gives_the_golden_output(model: Elir, golden_inputs: tuple[Tensor, Tensor]) -> None:
    flow = model.fmir
    try:
        model.fmir = FoldedFlow(flow, model.k_steps)  # type: ignore[arg-type]
        flat = model(*golden_inputs).flatten()
    finally:
        model.fmir = flow
    wanted = torch.tensor(GOLDEN["output_unclipped"]["values"])
    torch.testing.assert_close(flat[:: flat.numel() // 16][:16], wanted, atol=1e-4, rtol=0)


def test_forward_is_the_last_stage(
    model: Elir, golden_inputs: tuple[Tensor, Tensor], stages: dict[str, Tensor]
) -> None:
    assert torch.equal(model(*golden_inputs), stages["output"])


def test_noise_is_scaled_by_sigma_s_inside(tiny_elir: Elir) -> None:
    lq, noise = inputs(64, 64)
    tiny_elir.sigma_s = 0.05
    small = tiny_elir(lq, 2 * noise)
    tiny_elir.sigma_s = 0.1
    torch.testing.assert_close(tiny_elir(lq, noise), small, atol=1e-6, rtol=0)
    assert not torch.allclose(tiny_elir(lq, 0 * noise), small, atol=1e-4)


def test_batch_equals_single_pictures(tiny_elir: Elir) -> None:
    a, b = torch.rand(2, 1, 3, 64, 96), torch.randn(2, *noise_shape(64, 96))
    both = tiny_elir(torch.cat([*a]), torch.cat([*b]))
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], tiny_elir(a[i], b[i]), atol=1e-5, rtol=0)


def test_other_sizes_are_padded_by_reflection_and_cropped(tiny_elir: Elir) -> None:
    lq, noise = torch.rand(1, 3, 70, 89), torch.randn(noise_shape(70, 89))
    padded = torch.from_numpy(np.pad(lq.numpy(), ((0, 0), (0, 0), (0, 26), (0, 7)), "reflect"))
    assert noise.shape == noise_shape(96, 96)
    torch.testing.assert_close(tiny_elir(lq, noise), tiny_elir(padded, noise)[:, :, :70, :89])


@pytest.mark.parametrize(
    ("lq", "noise", "message"),
    [
        ((1, 1, 64, 64), (1, 16, 8, 8), "lq must be (N, 3, H, W), got (1, 1, 64, 64): pass RGB pictures in [0, 1]"),
        ((3, 64, 64), (1, 16, 8, 8), "lq must be (N, 3, H, W), got (3, 64, 64): pass RGB pictures in [0, 1]"),
        ((1, 3, 64, 16), (1, 16, 8, 4), "H and W must be > 16, got 64 x 16: pad the picture"),
        ((1, 3, 0, 64), (1, 16, 0, 8), "H and W must be > 16, got 0 x 64: pad the picture"),
        ((1, 3, 64, 70), (1, 16, 8, 8), "noise must be (1, 16, 8, 12) for lq (1, 3, 64, 70), got (1, 16, 8, 8)"),
        (
            (1, 3, 64, 96),
            (1, 16, 12, 8),
            "noise must be (1, 16, 8, 12) for lq (1, 3, 64, 96), got (1, 16, 12, 8)",
        ),
    ],
)
def test_wrong_shapes_say_what_is_wrong(
    tiny_elir: Elir, lq: tuple[int, ...], noise: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        tiny_elir(torch.zeros(lq), torch.zeros(noise))
