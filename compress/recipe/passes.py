"""Each pass's settings; free of torch, so that recipes are checked at once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from compress.errors import InputError
from compress.recipe.numbers import Count, Crop, Seed
from compress.recipe.strict import Strict

MIN_PICTURES = 8
"""Calibration pictures that ptq needs; 32 are usual."""

FLOAT = 16
"""``layer_bits`` of a layer left in float; a file holds 32 bits for each of its weights."""
Engine = Literal["elir", "nncf", "torchao", "neural_compressor", "onnxruntime"]


@dataclass(frozen=True)
class EngineChoices:
    """What an engine can do; the first is its default, the best as measured (docs/quantization_engines.md)."""

    range: tuple[str, ...]
    rounding: tuple[str, ...]
    bias_correction: tuple[bool, ...]
    weight_bits: tuple[int, ...] = (7, 8)
    pair_limit: tuple[bool, ...] = (False,)


ENGINE_CHOICES: dict[str, EngineChoices] = {
    "elir": EngineChoices(
        ("min_max", "percentile", "mse", "entropy"), ("gptq", "nearest"), (True, False), (8, 7), (True, False)
    ),
    "nncf": EngineChoices(("percentile", "mse", "min_max"), ("nearest",), (False, True)),
    "torchao": EngineChoices(("mse", "min_max"), ("nearest",), (False,), pair_limit=(True, False)),
    "neural_compressor": EngineChoices(("mse", "min_max"), ("nearest",), (False,), pair_limit=(True, False)),
    "onnxruntime": EngineChoices(("percentile", "min_max"), ("nearest",), (False,)),
}


WRITES: dict[Engine, tuple[str, ...]] = {
    "elir": ("openvino", "onnx", "executorch"),
    "nncf": ("openvino", "onnx"),
    "torchao": ("openvino", "onnx", "executorch"),
    "neural_compressor": ("openvino", "onnx"),
    "onnxruntime": ("openvino", "onnx"),
}
"""Formats of the int8 files that an engine writes."""
WEIGHTS_IN = ("openvino", "onnx")
"""Formats that hold weights in few bits beside a computation in float."""


def check_format(pass_: Strict, format_: str) -> None:
    """Raise InputError where a quantizing pass does not write ``format_``."""
    if isinstance(pass_, PtqSettings) and format_ not in WRITES[pass_.engine]:
        raise InputError(
            f"passes.ptq.engine: {pass_.engine} writes {', '.join(WRITES[pass_.engine])}, not {format_}: "
            f"remove {format_} from export or use engine elir or torchao"
        )
    if isinstance(pass_, WeightsSettings) and format_ not in WEIGHTS_IN:
        raise InputError(
            f"passes: weights writes {', '.join(WEIGHTS_IN)}, not {format_}, whose convolutions take integer weights "
            f"with integer activations only: remove weights from export.{format_}.precisions, or use ptq"
        )


ENGINE_SETTINGS = tuple(field.name for field in fields(EngineChoices))


def is_below(layer: str, prefix: str) -> bool:
    """Whether ``prefix`` names ``layer`` or what holds it."""
    return layer == prefix or layer.startswith(prefix + ".")


def _longest(given: Mapping[str, int], layer: str, default: int) -> int:
    """What the longest prefix of ``given`` that names ``layer`` says."""
    prefixes = [prefix for prefix in given if is_below(layer, prefix)]
    return given[max(prefixes, key=len)] if prefixes else default


class CollapseSettings(Strict):
    """This pass has no settings: the collapse is exact."""


class FoldTimeSettings(Strict):
    """This pass has no settings: the fold is exact."""


class EqualizeSettings(Strict):
    """Cross-layer equalisation of the autoencoder. It is exact: the model still computes the same function."""

    strength: float = Field(
        0.25,
        ge=0,
        le=1,
        description="How far ranges are equalized: 0 changes nothing, 1 gives all channels the same range.",
    )
    pictures: Count = Field(8, description="Number of calibration pictures to observe.")


class SmoothSettings(Strict):
    """SmoothQuant of the MMSE estimator and the flow, which equalize cannot reach. It is exact."""

    strength: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How much of the activations' spread moves into the weights: 0 moves none of it, 1 all of it.",
    )
    pictures: Count = Field(8, description="Number of calibration pictures to observe.")


class PtqSettings(Strict):
    """Post-training quantization to 8-bit weights and activations (W8A8).

    If you leave ``range``, ``rounding`` or ``bias_correction`` out, or set it to null, the engine's own best is taken.
    Settings that an engine does not support are refused.
    """

    engine: Engine = Field(
        "elir", description="Library that calibrates and quantizes; elir quantizes once for all formats."
    )
    weight_bits: Literal[7, 8] = Field(
        8,
        description="Bits of the weights; 7 cannot saturate on x86 CPUs without VNNI, 8 is finer. By "
        "default the engine's own best.",
    )
    pair_limit: bool = Field(
        True,
        description="Keep the sum of two neighbouring input channels' 8-bit weights at 128 or less, so "
        "that they cannot saturate on x86 CPUs without VNNI. Set false for VNNI, ARM, NPU and "
        "GPU only. By default the engine's own best.",
    )
    range: Literal["min_max", "percentile", "mse", "entropy"] = Field(
        "min_max", description="How the ranges of activations are chosen; by default the engine's own best."
    )
    percentile: float = Field(
        99.999,
        gt=90,
        le=100,
        description="Share of the values, in percent, that lie inside the range. For range percentile only.",
    )
    rounding: Literal["nearest", "gptq"] = Field(
        "gptq",
        description="How weights are rounded; gptq compensates rounding errors, using the second moments of the "
        "inputs. By default the engine's own best.",
    )
    bias_correction: bool = Field(
        True,
        description="Remove the mean error that rounded weights cause per channel; by default the engine's own best.",
    )
    keep_float: list[str] = Field(
        default=[], description="Prefixes of layers that stay in float, for example dec.layers.18."
    )
    layer_bits: dict[str, Literal[4, 7, 8, 16]] = Field(
        default={},
        description="Bits of the weights of single layers that differ from weight_bits; the longest prefix of a "
        "layer's name decides. With 4, weights lie between -7 and 7; with 16, the layer stays in float, as "
        "with keep_float. For the engine elir.",
    )

    def bits_of(self, layer: str) -> int:
        """Bits of the weights of ``layer``, by its name; 16: it stays float."""
        return _longest({**self.layer_bits, **dict.fromkeys(self.keep_float, 16)}, layer, self.weight_bits)

    @model_validator(mode="before")
    @classmethod
    def _engine_defaults(cls, data: Any) -> Any:
        choices = ENGINE_CHOICES.get(str(data.get("engine", "elir"))) if isinstance(data, dict) else None
        if choices is None:
            return data
        best = {name: getattr(choices, name)[0] for name in ENGINE_SETTINGS}
        bits = data.get("weight_bits") or best["weight_bits"]
        if bits == 7:
            best["pair_limit"] = _has_eight_bits(data.get("layer_bits"))
        elif data.get("pair_limit") is None and True not in choices.pair_limit:
            raise ValueError(
                f"engine {data['engine']} cannot limit pairs of 8-bit weights, which saturate on x86 CPUs without "
                "VNNI: use weight_bits 7, or, for other machines only, set pair_limit: false"
            )
        return data | {name: value for name, value in best.items() if data.get(name) is None}

    @field_validator(*ENGINE_SETTINGS)
    @classmethod
    def _engine_can(cls, value: Any, info: ValidationInfo) -> Any:
        engine = info.data.get("engine")
        if engine is not None and value not in (can := getattr(ENGINE_CHOICES[engine], str(info.field_name))):
            raise ValueError(
                f"engine {engine} cannot do {_word(value)}: use {' or '.join(map(_word, can))}, leave it out, "
                "or use engine elir"
            )
        return value

    @model_validator(mode="after")
    def _pair_limit_is_used(self) -> "PtqSettings":
        if self.pair_limit and self.weight_bits == 7 and not _has_eight_bits(self.layer_bits):
            raise ValueError("pair_limit has no effect with weight_bits 7: set weight_bits: 8, or remove pair_limit")
        return self

    @model_validator(mode="after")
    def _engine_can_mix(self) -> "PtqSettings":
        if self.layer_bits and self.engine != "elir":
            raise ValueError(f"engine {self.engine} cannot do layer_bits: remove it, or use engine elir")
        for prefix in self.keep_float:
            if self.layer_bits.get(prefix, 16) != 16:
                raise ValueError(f"{prefix} is in keep_float and has {self.layer_bits[prefix]} layer_bits: remove one")
        return self

    @model_validator(mode="after")
    def _percentile_is_used(self) -> "PtqSettings":
        if "percentile" in self.model_fields_set and self.range != "percentile":
            raise ValueError(f"percentile has no effect with range {self.range}: set range: percentile, or remove it")
        return self


class WeightsSettings(Strict):
    """Weight-only quantization: convolutions store their weights in fewer bits, and compute in float."""

    bits: Literal[4, 8, 16] = Field(
        8, description="Bits of the weights: 4 for integers from -7 to 7, 8 for -127 to 127, 16 for float16."
    )
    group: int | None = Field(
        None,
        ge=8,
        le=256,
        description="Number of input channels that share a scale; by default one scale per output channel.",
    )
    layer_bits: dict[str, Literal[4, 8, 16, 32]] = Field(
        default={},
        description="Bits of single layers that differ from bits; the longest prefix of a layer's name decides. 32 "
        "leaves a layer as it is.",
    )

    def bits_of(self, layer: str) -> int:
        """Bits of the weight of ``layer``, by its name."""
        return _longest(self.layer_bits, layer, self.bits)

    @model_validator(mode="after")
    def _group_is_used(self) -> "WeightsSettings":
        if self.group is not None and {self.bits, *self.layer_bits.values()} <= {16, 32}:
            raise ValueError(f"group has no effect with bits {self.bits}, which has no scale: remove it")
        return self


class _LearningSettings(Strict):
    """What the passes share that learn on the integer grid. Rates are in quantization steps, of a layer's output for
    its biases and of its weights, an update at most."""

    bias_rate: float = Field(
        0.02, ge=0, le=1, description="Learning rate of the biases; 0 leaves them as ptq set them."
    )
    weight_rate: float = Field(
        0.001, ge=0, le=1, description="Learning rate of the weights; 0 leaves them as ptq set them."
    )
    crop: Crop = Field(128, description="Side of a crop in px, at most the model's image size.")
    seed: Seed = 0

    @model_validator(mode="after")
    def _learns_something(self) -> "_LearningSettings":
        if not self.bias_rate and not self.weight_rate:
            raise ValueError("bias_rate and weight_rate are both 0: nothing would be learnt: raise one, or remove it")
        return self


class ReconstructSettings(_LearningSettings):
    """Reconstruction after ``ptq`` (engine elir): each block is trained to reproduce the output of the float model's
    block.
    """

    by: Literal["block", "layer"] = Field("block", description="Unit that is reconstructed at one time.")
    steps: int = Field(60, gt=0, le=100_000, description="Number of updates per block.")
    crops: int = Field(
        16, gt=0, le=1024, description="Number of crops of calibration pictures. They are held in memory."
    )


class QatSettings(_LearningSettings):
    """Quantization-aware training after ``ptq`` (engine elir): the whole int8 model learns to reproduce the float
    model.
    """

    steps: int = Field(120, gt=0, le=100_000, description="Number of updates in all.")
    batch: int = Field(2, gt=0, le=64, description="Number of crops per update.")


def _has_eight_bits(layer_bits: Any) -> bool:
    return isinstance(layer_bits, dict) and 8 in layer_bits.values()


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
