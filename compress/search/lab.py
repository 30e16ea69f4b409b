"""What a search measures in torch: a group alone with some bits, and whole combinations. Each is a function of the
recipe and of the unit alone, so that units may be measured in any order, or elsewhere."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from compress.errors import InputError
from compress.passes.quantize.schemes import SCHEME_OF
from compress.pipeline.models import Models
from compress.pipeline.probe import Probe
from compress.recipe.passes import FLOAT, PtqSettings
from compress.recipe.schema import Format, Recipe
from compress.search.groups import Group, groups_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from compress.passes.quantize.engines.elir import Statistics
    from compress.passes.quantize.model import Conv, Layer

PROBED = 2  # pictures, of the calibration set: which bits are chosen is not learnt on what they are judged on


def lab_of(models: Models, format_: Format) -> "Lab":
    """The lab of a recipe's ptq, with the bits that it has and those that its search may choose."""
    recipe = models.context.recipe
    settings = _ptq(recipe)
    return Lab(models, format_, settings, tuple(sorted({*recipe.search.bits, settings.weight_bits})))


def _ptq(recipe: Recipe) -> PtqSettings:
    """The recipe's ptq, without what the search chooses itself. Raises InputError for an engine but elir."""
    settings = recipe.with_ptq(layer_bits={}).ptq
    assert settings is not None
    if settings.engine != "elir":
        raise InputError(f"passes.ptq.engine: {settings.engine} gives all layers the same bits: use engine elir")
    return settings


class Lab:
    """The float model, and what ptq settles for each of its convolutions with each number of bits."""

    def __init__(self, models: Models, format_: Format, settings: PtqSettings, bits: tuple[int, ...]) -> None:
        from compress.passes.ptq import Ptq
        from compress.passes.quantize.engines.elir import quantizable
        from compress.passes.quantize.schemes import SCHEMES

        self.models, self.format, self.settings, self.bits = models, format_, settings, bits
        self.scheme_name = SCHEME_OF[format_]
        self.scheme = SCHEMES[self.scheme_name]
        self.subject = models.subject
        Ptq(settings).requires(self.subject)
        self.convs: dict[str, Conv] = quantizable(self.subject.model, settings)
        self.layers = {b: self._settled(b) for b in bits if b < FLOAT}

    def _settled(self, bits: int) -> "dict[str, Layer]":
        from compress.passes.quantize.engines.elir import pack, settle_on, unpack

        settings = self.settings.model_copy(update={"layer_bits": dict.fromkeys(self.convs, bits)})

        def settle() -> "dict[str, Tensor]":
            return pack(settle_on(self._statistics, self.subject, settings, self.convs), self.convs)

        kept = self.models.keep(f"calibration-{bits}", settle)
        return unpack(kept, self.convs, settings)

    @cached_property
    def _statistics(self) -> "dict[str, Statistics]":
        from compress.passes.quantize.engines.elir import calibrate

        with self.models.context.progress.stage("calibrate") as stage:
            self.subject.advance = lambda what, done, total: stage.note(f"{what} {done} of {total}")
            return calibrate(self.subject, self.settings, self.convs)

    @cached_property
    def probe(self) -> Probe:
        """A probe on calibration pictures."""
        usual = self.layers[self.settings.weight_bits]
        return Probe(self.models, self.scheme_name, self.models.context.inputs.calibration, PROBED, usual)

    @cached_property
    def groups(self) -> list[Group]:
        """What bits are chosen for."""
        return groups_of(self.subject.model, self.convs, self.scheme, self.probe.lq[:1], self.probe.noise[:1])

    def error(self, group: Group, bits: int) -> float:
        """Mean squared error, of [0, 1], that one group alone with ``bits`` adds to the output."""
        return self.probe.loss(group.layers, self.layers[bits]).error

    def module(self, bits: Mapping[str, int]) -> "nn.Module":
        """The simulated model with ``bits`` by layer; layers that are not named have the recipe's own."""
        from compress.passes.quantize.model import build

        usual = self.settings.weight_bits
        chosen = {name: b for name in self.convs if (b := bits.get(name, usual)) < FLOAT}
        layers = {name: self.layers[b][name] for name, b in chosen.items()}
        return build(self.subject.model, self.scheme, {name: self.convs[name] for name in chosen}, layers)
