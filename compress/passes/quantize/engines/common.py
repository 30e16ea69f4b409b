"""What the engines that wrap another package share."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from compress.elir.hooks import convs_in_order
from compress.elir.latent import noise_shape
from compress.errors import InputError
from compress.passes.base import Subject
from compress.passes.quantize.engines.elir import quantizable
from compress.passes.quantize.schemes import SCHEME_OF
from compress.recipe.passes import PtqSettings


def example(subject: Subject) -> tuple[Tensor, Tensor]:
    """Inputs of the artifact's shape: (1, 3, H, W) in [0, 1] and (1, 16, H/8, W/8)."""
    return torch.zeros(1, 3, *subject.shape), torch.zeros(noise_shape(*subject.shape))


def by_scheme(subject: Subject, x86: nn.Module, xnnpack: nn.Module | None = None) -> dict[str, nn.Module]:
    """Modules by scheme for the subject's formats: OpenVINO and ONNX Runtime get the same one."""
    served = {"openvino": x86, "onnx": x86, "executorch": xnnpack}
    return {SCHEME_OF[format_]: module for format_, module in served.items() if module and format_ in subject.formats}


def excluded(subject: Subject, settings: PtqSettings) -> set[str]:
    """Names of the convolutions that ``keep_float`` leaves in float. Raises InputError when a prefix names no layer."""
    wanted = quantizable(subject.model, settings)
    convs = {n for n, m in subject.model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    return convs - wanted.keys()


def excluded_nodes(subject: Subject, settings: PtqSettings, weights: Sequence[tuple[str, np.ndarray]]) -> list[str]:
    """Names of a graph's nodes that ``keep_float`` leaves in float.

    ``weights``: (name, weight) of every convolution of the graph, in its order. Raises InputError when a prefix names
    no layer, or the graph's convolutions are not the model's.
    """
    layers = excluded(subject, settings)
    if not layers:
        return []
    convs = convs_in_order(subject.model)
    same = len(convs) == len(weights) and all(
        conv.weight.shape == value.shape and np.array_equal(conv.weight.numpy(), value)
        for conv, (_, value) in zip(convs.values(), weights, strict=True)
    )
    if not same:
        raise InputError(
            f"passes.ptq.keep_float: {settings.engine} gets a graph whose layers it cannot distinguish: use engine elir"
        )
    return [node for name, (node, _) in zip(convs, weights, strict=True) if name in layers]
