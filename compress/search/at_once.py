"""What a search measures, by workers: many at once, the same figures."""

import json
from dataclasses import dataclass
from functools import lru_cache

from compress.files import locked, sha256_text
from compress.pipeline.context import RunContext
from compress.pipeline.models import Models
from compress.pipeline.workers import SHARES, SharedFiles, Store, Workers, scratch, share_out
from compress.progress import Progress
from compress.recipe.schema import Format, Recipe
from compress.search.lab import Lab, lab_of
from compress.search.quality import Judge, TorchQuality


@dataclass(frozen=True)
class AtOnce:
    """``left``: where the workers find what was calibrated."""

    workers: Workers
    left: SharedFiles

    @property
    def most(self) -> int:
        """What to ask for at once, so that a budget of minutes is kept."""
        return SHARES * self.workers.count

    def errors(self, lab: Lab, alone: list[tuple[str, int]]) -> list[float]:
        """``Lab.error`` of each (group's name, bits)."""
        return share_out(self.workers, "layer", errors, self._common(lab), alone)

    def qualities(self, lab: Lab, together: list[dict[str, int]]) -> list[TorchQuality]:
        """``Judge.quality`` of each combination, bits by layer."""
        return share_out(self.workers, "combination", qualities, self._common(lab), together)

    def _common(self, lab: Lab) -> dict[str, str | bool]:
        context = lab.models.context
        recipe = context.recipe.model_dump_json()
        return {"recipe": recipe, "format": lab.format, "reuse": context.reuse, "store": self.left.store.url}


def errors(parts: list[tuple[str, int]], *, recipe: str, format: Format, reuse: bool, store: str) -> list[float]:
    """``Lab.error`` of each of ``parts``, (group's name, bits), on whichever node. ``recipe``: as JSON."""
    lab, _ = _measuring(recipe, format, store, reuse=reuse)
    groups = {group.name: group for group in lab.groups}
    return [lab.error(groups[name], bits) for name, bits in parts]


def qualities(
    parts: list[dict[str, int]], *, recipe: str, format: Format, reuse: bool, store: str
) -> list[TorchQuality]:
    """``Judge.quality`` of each of ``parts``, bits by layer, on whichever node. ``recipe``: as JSON."""
    lab, judge = _measuring(recipe, format, store, reuse=reuse)
    return [judge.quality(lab.module(bits)) for bits in parts]


@lru_cache(maxsize=1)
def _measuring(recipe: str, format: Format, store: str, *, reuse: bool) -> tuple[Lab, Judge]:
    chosen = Recipe.model_validate_json(recipe)
    folder = scratch(sha256_text(json.dumps([recipe, format, reuse, store])))
    with locked(folder, lambda text: None):
        context = RunContext(chosen, folder, Progress("silent"), reuse=reuse, shared=SharedFiles(Store(store)))
        models = Models(context)
        return lab_of(models, format), Judge(models, chosen.search.pictures)
