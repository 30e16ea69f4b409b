"""A recipe -> the recipe that a step of ``fallback`` makes of it, and what it changed, in words."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from compress.pipeline.probe import NETWORKS
from compress.recipe.pass_item import PassItem
from compress.recipe.passes import ENGINE_CHOICES, FLOAT, PtqSettings, is_below
from compress.recipe.schema import Recipe

SHARE = 0.5  # of the layers' summed error: what the layers that raise_bits takes make up


@dataclass(frozen=True)
class Change:
    """A recipe and what is new in it."""

    recipe: Recipe
    text: str


@dataclass(frozen=True)
class Errors:
    """Squared errors: of each group of layers that share a weight alone, and of each network alone."""

    layers: Mapping[tuple[str, ...], float]
    networks: Mapping[str, float]


def changes(step: str, recipe: Recipe, errors: Callable[[], Errors]) -> Iterator[Change]:
    """What ``step`` can make of ``recipe``, the first choice first; nothing, where it can do nothing."""
    if step == "recalibrate":
        return _recalibrate(recipe)
    if step == "reconstruct":
        return _reconstruct(recipe)
    return (_raise_bits if step == "raise_bits" else _float_stage)(recipe, errors)


def nothing_left(step: str) -> str:
    """Why a step changes nothing."""
    return {
        "recalibrate": "every range method of the engine was tried",
        "reconstruct": "the recipe has qat already, or its engine is not elir",
        "raise_bits": "the worst layers are float already, or the engine is not elir",
        "float_stage": "the worst stage is float already, or the engine is not elir",
    }[step]


def settings_of(recipe: Recipe) -> PtqSettings:
    """Settings of ptq, of a recipe that has it."""
    assert recipe.ptq is not None
    return recipe.ptq


def _recalibrate(recipe: Recipe) -> Iterator[Change]:
    settings = settings_of(recipe)
    for method in ENGINE_CHOICES[settings.engine].range:
        if method != settings.range:
            yield Change(recipe.with_ptq(range=method, percentile=None), f"range {settings.range} -> {method}")


def _reconstruct(recipe: Recipe) -> Iterator[Change]:
    if settings_of(recipe).engine == "elir" and not any(item.qat for item in recipe.passes):
        passes = [*recipe.passes, PassItem.model_validate({"qat": {}})]
        yield Change(recipe.model_copy(update={"passes": passes}), "qat added")


def _raise_bits(recipe: Recipe, errors: Callable[[], Errors]) -> Iterator[Change]:
    settings = settings_of(recipe)
    if settings.engine != "elir":
        return
    layer_errors = {group: error for group, error in errors().layers.items() if settings.bits_of(group[0]) < FLOAT}
    raised: dict[str, int] = {}
    texts, covered = [], 0.0
    for group, error in sorted(layer_errors.items(), key=lambda item: -item[1]):
        if covered >= SHARE * sum(layer_errors.values()):
            break
        before = settings.bits_of(group[0])
        after = 8 if before == 4 else FLOAT
        raised |= dict.fromkeys(group, after)
        texts.append(f"{group[0]} {before} -> {after}")
        covered += error
    if raised:
        few = ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
        yield Change(recipe.with_ptq(layer_bits={**settings.layer_bits, **raised}), f"bits of {few}")


def _float_stage(recipe: Recipe, errors: Callable[[], Errors]) -> Iterator[Change]:
    settings = settings_of(recipe)
    if settings.engine != "elir":
        return
    network_errors = errors().networks
    worst = max(network_errors, key=lambda name: network_errors[name])
    prefix = next(prefix for prefix, name in NETWORKS.items() if name == worst)
    kept = {layer: bits for layer, bits in settings.layer_bits.items() if not is_below(layer, prefix)}
    yield Change(recipe.with_ptq(layer_bits={**kept, prefix: FLOAT}), f"{worst} left in float")
