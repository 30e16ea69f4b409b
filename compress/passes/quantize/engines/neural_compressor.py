"""neural_compressor: Intel's package, its static W8A8 path on PT2E (x86 quantizer: convolutions' inputs, uint8).

It leaves transposed convolutions in float.
"""

from typing import Any

import torch

from compress.errors import Unavailable
from compress.passes.base import Subject
from compress.passes.quantize.engines import QuantizedModel
from compress.passes.quantize.engines.common import by_scheme, example, excluded
from compress.passes.quantize.engines.pt2e import ConvertedGraph, fold_weights, limit_weights
from compress.passes.quantize.feeds import pictures
from compress.quiet import quiet
from compress.recipe.passes import PtqSettings
from compress.text import install_extra

ALGORITHMS = {"mse": "kl", "min_max": "minmax"}  # its names: kl is a histogram of least squared error


def quantize(subject: Subject, settings: PtqSettings) -> QuantizedModel:
    """prepare, calibrate, convert. Raises Unavailable without the package, InputError on an unknown layer."""
    with quiet():
        quantization = _package()
        config = _config(subject, settings, quantization)
        from neural_compressor.torch.export import export

        with torch.no_grad():
            prepared = quantization.prepare(export(subject.model, example(subject)), config)
            limit_weights(prepared, settings)
            for lq, noise in pictures(subject):
                prepared(lq, noise)
            converted = quantization.convert(prepared)
            fold_weights(converted)
    subject.notes.append(f"ptq: neural_compressor, {settings.weight_bits}-bit weights, {settings.range} ranges")
    return QuantizedModel("neural_compressor", by_scheme(subject, ConvertedGraph(converted)))


def _package() -> Any:
    try:
        from neural_compressor.torch import quantization
    except ImportError as error:
        raise Unavailable(
            f"passes.ptq.engine: neural_compressor is not installed ({error}): {install_extra('neural-compressor')}"
        ) from None
    return quantization


def _config(subject: Subject, settings: PtqSettings, quantization: Any) -> Any:
    config = quantization.INT8StaticQuantConfig(act_algo=ALGORITHMS[settings.range])
    for name in excluded(subject, settings):
        config.set_local(name, quantization.INT8StaticQuantConfig(w_dtype="fp32", act_dtype="fp32"))
    return config
