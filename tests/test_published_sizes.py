"""The published sizes: a bundled model widened to each computes the same, and goes through `apply` in every format."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import compress
from compress.data.pictures import to_float, to_uint8
from compress.data.sets import load_set
from compress.elir import load_checkpoint
from compress.elir.checkpoint import save_checkpoint
from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig
from compress.measure.quality import psnr_db
from compress.passes.base import Subject
from compress.passes.collapse import Collapse
from compress.passes.fold_time import FoldTime
from compress.passes.shrink.channels import narrow
from compress.passes.shrink.importance import scores
from compress.passes.smooth import Smooth
from compress.progress import Progress
from compress.recipe.passes import CollapseSettings, FoldTimeSettings, SmoothSettings
from compress.recipe.published import PUBLISHED, ReleaseFile
from compress.recipe.schema import Recipe
from tests.elir.widen import widen

MILLIONS = {"elir_sr.pth": 26.89, "elir_bsr.pth": 19.08, "elir_bfr.pth": 37.52}
SIZES = [model for model in PUBLISHED if model.file in MILLIONS]
EXACT = 1e-4


def pairs(count: int = 1, side: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
    """(lq, noise), of ``side`` px."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        lq = torch.rand(1, 3, side, side, generator=generator)
        yield lq, torch.randn(noise_shape(side, side), generator=generator)


@pytest.fixture(scope="module")
def bundled() -> Callable[[ReleaseFile], Elir]:
    """The bundled model, its flow narrowed where the published width is not a multiple of its own."""

    def make(like: ReleaseFile) -> Elir:
        model = load_checkpoint("elir_sr_x4", like.k_steps, like.sigma_s)
        hid = model.config.hid_channels
        if like.hid_channels % hid:
            subject = Subject(model, pairs, 1, (64, 64), ("onnx",))
            model = narrow(model, replace(model.config, hid_channels=hid // 2), scores("magnitude", subject, 1))
        return model

    return make


def at(like: ReleaseFile) -> ElirConfig:
    return ElirConfig(*like.widths, k_steps=like.k_steps, sigma_s=like.sigma_s)


@pytest.mark.parametrize("like", SIZES, ids=lambda like: like.file)
def test_a_model_of_published_size_computes_what_it_was_made_from(
    like: ReleaseFile, bundled: Callable[[ReleaseFile], Elir]
) -> None:
    model = bundled(like)
    wide = widen(model, at(like))
    assert sum(p.numel() for p in wide.parameters()) / 1e6 == pytest.approx(MILLIONS[like.file], abs=0.005)
    (pair,) = pairs()
    wanted = model.stages(*pair)
    for name, value in wide.stages(*pair).items():
        torch.testing.assert_close(value, wanted[name], atol=EXACT, rtol=0)
    assert (wanted["step_1"] - wanted["mmse"]).abs().max() > 100 * EXACT  # the flow does something


def test_channels_of_three_in_a_group_do_not_come_of_two(bundled: Callable[[ReleaseFile], Elir]) -> None:
    with pytest.raises(ValueError, match="hid_channels"):
        widen(bundled(SIZES[0]), ElirConfig(96, 1, 96, 3))


def test_smooth_leaves_a_model_of_published_size_exact(bundled: Callable[[ReleaseFile], Elir]) -> None:
    """Its identity blocks have sites that nothing reads: all weights zero."""
    like = next(model for model in SIZES if model.file == "elir_bfr.pth")
    subject = Subject(widen(bundled(like), replace(at(like), k_steps=1)), lambda: pairs(8), 8, (64, 64), ("onnx",))
    Collapse(CollapseSettings()).run(subject)
    FoldTime(FoldTimeSettings()).run(subject)
    Smooth(SmoothSettings(pictures=1)).run(subject)
    assert all(torch.isfinite(value).all() for value in subject.model.state_dict().values())


@pytest.mark.nightly
def test_apply_at_the_published_sr_width(bundled: Callable[[ReleaseFile], Elir], tmp_path: Path) -> None:
    """All formats by `ptq`, on small pictures: the files are as large as those of the published model."""
    like = SIZES[0]
    wide = widen(bundled(like), at(like))
    save_checkpoint(wide, tmp_path / "wide.safetensors", {"task": "sr_x4"}, torch.float32)
    result: Any = compress.apply(_recipe(tmp_path / "wide.safetensors"), tmp_path / "out", progress=Progress("silent"))
    # The time's networks are folded into biases.
    millions = sum(p.numel() for name, p in wide.named_parameters() if "mlp" not in name) / 1e6
    sizes = {a["id"]: a["bytes"] / 1e6 for a in result.results["artifacts"]}
    quality = {q["artifact"]: q for q in result.results["quality"]}
    for format_ in ("openvino", "onnx", "executorch"):
        assert sizes[f"{format_}-fp32"] == pytest.approx(4 * millions, rel=0.02)
        assert sizes[f"{format_}-int8"] < 0.3 * sizes[f"{format_}-fp32"]
        assert quality[f"{format_}-int8"]["fidelity_db"] > 35
    # It restores: the fp32 artifact is the bundled model still.
    wanted = np.mean([psnr_db(_restored(bundled(like), item), item.truth) for item in _items()])
    assert quality["onnx-fp32"]["psnr_db"] == pytest.approx(wanted, abs=0.5)


def _recipe(weights: Path) -> Recipe:
    both = {"precisions": ["fp32", "int8"]}
    return Recipe.model_validate(
        {
            "version": 1,
            "name": "published_width",
            "model": {"weights": str(weights), "image_size": 64},
            "data": {"calibration": "photos_calibration", "validation": ["photos_validation"]},
            "passes": [{"collapse": {}}, {"fold_time": {}}, {"equalize": {}}, {"ptq": {}}],
            "export": {"openvino": both, "onnx": {**both, "tensorrt": False}, "executorch": both},
            "goals": {"fidelity_db": 35},
        }
    )


def _items() -> Iterator[Any]:
    return islice(load_set("photos_validation", "sr_x4", (64, 64)), None)


def _restored(model: Elir, item: Any) -> np.ndarray:
    with torch.inference_mode():
        noise = torch.randn(noise_shape(64, 64), generator=torch.Generator().manual_seed(0))
        return to_uint8(model(torch.from_numpy(to_float([item.degraded])), noise)[0].numpy())
