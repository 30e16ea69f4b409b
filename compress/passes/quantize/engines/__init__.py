"""Quantization engines: each has ``quantize(subject, settings) -> QuantizedModel``."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass
class QuantizedModel:
    """What an engine leaves for export.

    ``modules``: torch modules with explicit quantize/dequantize pairs, (lq, noise) -> hq not clipped, by scheme
    (``openvino``, ``onnxruntime``, or ``x86`` for both; ``tensorrt``; ``xnnpack``). ``graphs``: graphs already in a
    runtime's own form, by format; they take precedence. ``layers``: what the modules were built from, by
    convolution (``model.Layer``), ``model``: the float model whose copies they are, and ``settings``: those of ptq,
    where the engine can build them again. ``ranges``: of every tensor of the float ONNX graph, where a file for Hexagon
    NPUs is asked for (``schemes.ActivationRange``).
    ``weights``: of a float module, how a file stores those that were rounded (``weights.RoundedWeight``).
    """

    engine: str
    modules: dict[str, nn.Module] = field(default_factory=dict)
    graphs: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, Any] = field(default_factory=dict)
    model: Any = None
    settings: Any = None
    ranges: dict[str, Any] = field(default_factory=dict)
    weights: list[Any] = field(default_factory=list)
