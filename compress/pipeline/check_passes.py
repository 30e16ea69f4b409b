"""Whether a recipe's passes can do what they are asked, before anything runs: what a pass refuses when its turn comes,
a training of hours may come before.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from compress.pipeline.context import RunContext
from compress.recipe.pass_item import PassItem
from compress.recipe.passes import is_below
from compress.recipe.schema import Recipe
from compress.refusals import Refusals

if TYPE_CHECKING:
    from compress.elir.model import Elir


class PassChecks:
    """Checks recipes' passes; a model is read once for all recipes that take it."""

    def __init__(self) -> None:
        self._models: dict[tuple[Path, int | None, float | None, bool], Elir] = {}

    def check(self, recipe: Recipe, weights: Path, refusals: Refusals) -> None:
        """Gather as ``refusals`` what passes will refuse of the model in ``weights``: layers that it does not have, a
        student's entry, or stages that teach it nothing. Raises VerificationError for a damaged file.
        """
        from compress.passes import load_pass

        asking = [item for item in recipe.passes if _asks(item)]
        if not asking:
            return
        model = self._model(recipe, weights)
        coarse = recipe.distill is not None and recipe.distill.encoder_scale > 1
        for item in asking:
            with refusals.gathered():
                load_pass(_without_encoder(item) if coarse else item).check(model, recipe.model.task)

    def _model(self, recipe: Recipe, weights: Path) -> "Elir":
        k_steps = recipe.distill.k_steps if recipe.distill else None
        folded = any(item.fold_time is not None for item in recipe.passes)
        key = weights, k_steps or recipe.model.k_steps, recipe.model.sigma_s, folded
        if key not in self._models:
            self._models[key] = _read(*key[:3], folded=folded)
        return self._models[key]


def refuse_passes(context: RunContext) -> None:
    """Raise InputError, a line for each, for what the passes of a run's recipe will refuse of its model, which a
    student that is reused settled before.
    """
    if context.reuse:
        return
    refusals = Refusals()
    PassChecks().check(context.recipe, context.inputs.weights, refusals)
    refusals.refuse()


def _asks(item: PassItem) -> bool:
    """Whether it names layers, or learns: for the others no file is read here."""
    ptq, weights = item.ptq, item.weights
    names = (ptq and (ptq.keep_float or ptq.layer_bits)) or (weights and weights.layer_bits)
    return bool(names) or item.distill is not None


def _read(weights: Path, k_steps: int | None, sigma_s: float | None, *, folded: bool) -> "Elir":
    from compress.elir.checkpoint import load_checkpoint
    from compress.elir.flow import FoldedFlow
    from compress.elir.overparam import collapse

    model = load_checkpoint(weights, k_steps, sigma_s)
    collapse(model)
    if folded:
        model.fmir = FoldedFlow(model.fmir, model.k_steps)
    return model


def _without_encoder(item: PassItem) -> PassItem:
    """The item without names of the encoder's layers, of which a student's coarser entry changes the numbers."""

    def rest(name: str) -> bool:
        return not is_below(name, "enc")

    if item.ptq:
        kept = [name for name in item.ptq.keep_float if rest(name)]
        return item.changed(keep_float=kept, layer_bits={n: b for n, b in item.ptq.layer_bits.items() if rest(n)})
    if item.weights:
        return item.changed(layer_bits={n: b for n, b in item.weights.layer_bits.items() if rest(n)})
    return item
