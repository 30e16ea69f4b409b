"""A small model on real calibration crops, and the comparison of a quantized form with the float one."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compress.artifacts.export.to_onnx import to_onnx
from compress.artifacts.export.to_openvino import to_openvino
from compress.elir.latent import noise_shape
from compress.elir.model import Elir, ElirConfig
from compress.passes.base import Subject
from compress.passes.collapse import Collapse
from compress.passes.fold_time import FoldTime
from compress.recipe.passes import CollapseSettings, FoldTimeSettings

SIZE = 64
COUNT = 8
# Every kind of layer, and large blocks in both halves of the autoencoder: exporting takes time by the layer.
SMALL = ElirConfig(
    hid_channels=32,
    c_hid=8,
    n_rrdb=1,
    **{"enc_widths": (16,) * 4, "enc_blocks": (1,) * 4, "dec_widths": (16,) * 4, "dec_blocks": (1,) * 4},
)


@pytest.fixture(scope="session")
def calibration(photo: np.ndarray) -> Callable[[], Iterator[tuple[Tensor, Tensor]]]:
    """COUNT crops of SIZE px, reduced and enlarged by 4, each with its noise; the same on every call."""

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for i in range(COUNT):
            y, x = 24 * i, 24 * (COUNT - 1 - i)
            crop = torch.from_numpy(photo[y : y + SIZE, x : x + SIZE] / np.float32(255)).permute(2, 0, 1)[None]
            lq = functional.interpolate(functional.avg_pool2d(crop, 4), scale_factor=4, mode="bilinear")
            yield lq, torch.randn(noise_shape(SIZE, SIZE), generator=generator)

    return pairs


@pytest.fixture(scope="session")
def make_subject(calibration: Callable) -> Callable[..., Subject]:
    """(model, formats) -> Subject with the model as given."""

    def make(model: Elir, formats: tuple[str, ...] = ("openvino", "onnx")) -> Subject:
        return Subject(model, calibration, COUNT, (SIZE, SIZE), formats)

    return make


@pytest.fixture(scope="session")
def exported() -> dict[int, Any]:
    """Float ONNX graphs of ``folded`` models by their Euler steps: exporting takes longer than quantizing."""
    return {}


@pytest.fixture(scope="session")
def folded(make_subject: Callable[..., Subject], exported: dict[int, Any]) -> Callable[..., Subject]:
    """(formats, k_steps) -> Subject ready for ptq: few Euler steps keep the engines' tests short."""

    def make(formats: tuple[str, ...] = ("openvino", "onnx"), k_steps: int = 1) -> Subject:
        torch.manual_seed(0)
        subject = make_subject(Elir(replace(SMALL, k_steps=k_steps)).eval().requires_grad_(False), formats)
        Collapse(CollapseSettings()).run(subject)
        FoldTime(FoldTimeSettings()).run(subject)

        def float_graph(format_: str) -> Any:
            if k_steps not in exported:
                exported[k_steps] = to_onnx(subject.model, (SIZE, SIZE))
            return copy.deepcopy(exported[k_steps]) if format_ == "onnx" else to_openvino(exported[k_steps])

        subject.float_graph = float_graph
        return subject

    return make


def sqnr_db(reference: Tensor, other: Tensor) -> float:
    """Signal to quantization noise ratio, dB."""
    noise = (reference - other).double().square().sum().clamp_min(1e-30)
    return (10 * torch.log10(reference.double().square().sum() / noise)).item()


@pytest.fixture()
def closeness() -> Callable[[Subject, Callable[..., Any]], float]:
    """SQNR in dB of ``run(lq, noise)`` against the subject's float output clipped to [0, 1], first picture."""

    def measure(subject: Subject, run: Callable[..., Any]) -> float:
        lq, noise = next(iter(subject.calibration()))
        with torch.no_grad():
            return sqnr_db(subject.model(lq, noise).clamp(0, 1), torch.as_tensor(run(lq, noise)).clamp(0, 1))

    return measure


@pytest.fixture()
def run_onnx(onnxruntime_run: Callable[..., list[np.ndarray]]) -> Callable[..., Callable[..., Any]]:
    """(ModelProto, exact) -> (lq, noise) -> hq, in ONNX Runtime; ``exact``: without its 8-bit kernels."""

    def runner(proto: Any, exact: bool = False) -> Callable[..., Any]:
        return lambda lq, noise: onnxruntime_run(proto, {"lq": lq.numpy(), "noise": noise.numpy()}, exact)[0]

    return runner


@pytest.fixture()
def run_openvino() -> Callable[[Any], Callable[..., Any]]:
    """ov.Model -> (lq, noise) -> hq, on the CPU."""

    def runner(model: Any) -> Callable[..., Any]:
        import openvino

        compiled = openvino.Core().compile_model(
            model, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        )
        return lambda lq, noise: compiled({"lq": lq.numpy(), "noise": noise.numpy()})[0]

    return runner
