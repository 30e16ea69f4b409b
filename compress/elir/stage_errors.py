"""Where quantization errs: by stage and Euler step, free-running and teacher-forced, and by layer."""

import math
from collections.abc import Iterable
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from compress.elir.hooks import hooks
from compress.elir.model import Elir, cropped, padded
from compress.measure.decibels import CAP_DB, decibels
from compress.results.parity import LayerError, StageError

Pair = tuple[Tensor, Tensor]


def sqnr_db(reference: Tensor, other: Tensor) -> float:
    """Signal to quantization noise: power of ``reference`` over power of the difference, in dB, at most 150."""
    noise = _power(reference - other)
    signal = reference.double().square().mean().item()
    return decibels(noise, peak=math.sqrt(signal)) if signal > 0 else CAP_DB


def psnr(reference: Tensor, other: Tensor) -> float:
    """PSNR of pictures clipped to [0, 1], float, in dB, at most 150."""
    return decibels(_power(reference.clamp(0, 1) - other.clamp(0, 1)))


def _power(difference: Tensor) -> float:
    """Mean square. Raises FloatingPointError for NaN or Inf: compared with 0, they would pass for no error at all."""
    power = difference.double().square().mean().item()
    if not math.isfinite(power):
        raise FloatingPointError("NaN or Inf")
    return power


def mean_psnr(reference: list[Tensor], other: list[Tensor]) -> float:
    """Mean over pictures of ``psnr``, to two places."""
    return round(fmean(psnr(a, b) for a, b in zip(reference, other, strict=True)), 2)


@torch.no_grad()
def stage_errors(model: Elir, quantized: Elir, pairs: Iterable[Pair]) -> list[StageError]:
    """Mean SQNR of each stage over (lq, noise) pairs.

    Free-running: the quantized model on its own path. Teacher-forced: each stage on the float model's input to it,
    which tells whose error it is.
    """
    ratios: dict[tuple[str, str], list[float]] = {}
    for lq, noise in pairs:
        reference = model.stages(lq, noise)
        for mode, stages in (
            ("free_running", quantized.stages(lq, noise)),
            ("teacher_forced", _teacher_forced(quantized, lq, noise, reference)),
        ):
            for name, value in stages.items():
                ratios.setdefault((mode, name), []).append(sqnr_db(reference[name], value))
    return [
        StageError(precision="int8", mode=mode, stage=stage, sqnr_db=round(fmean(values), 2))
        for (mode, stage), values in ratios.items()
    ]


def _teacher_forced(model: Elir, lq: Tensor, noise: Tensor, reference: dict[str, Tensor]) -> dict[str, Tensor]:
    whole = padded(lq)
    stages = {"latent": model.enc(whole), "mmse": model.mmse(reference["latent"])}
    z = reference["mmse"] + model.sigma_s * noise
    for k in range(model.k_steps):
        stages[f"step_{k + 1}"] = z + model.fmir.velocity(z, k, model.k_steps) / model.k_steps
        z = reference[f"step_{k + 1}"]
    return {**stages, "output": cropped(model.decode(z, whole), lq)}


@torch.no_grad()
def layer_errors(model: Elir, quantized: Elir, pair: Pair) -> list[LayerError]:
    """SQNR of every convolution's output, free-running, on one (lq, noise)."""
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    # References are kept for one picture only: a hundred tensors, at 256 px some 600 MB.
    reference = _outputs(model, names, pair)
    errors: dict[str, float] = {}
    _outputs(quantized, names, pair, lambda name, y: errors.__setitem__(name, sqnr_db(reference.pop(name), y)))
    return [LayerError(layer=n, stage=n.split(".")[0], sqnr_db=round(errors[n], 2)) for n in names]


def _outputs(model: nn.Module, names: list[str], pair: Pair, use: Any = None) -> dict[str, Tensor]:
    kept: dict[str, Tensor] = {}
    use = use or kept.__setitem__
    with hooks(model.get_submodule(n).register_forward_hook(lambda m, x, y, n=n: use(n, y)) for n in names):
        model(*pair)
    return kept
