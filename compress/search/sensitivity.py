"""Sensitivity: what is lost when only one convolution, or one stage, of the model is quantized."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import FORMATS
from compress.errors import InputError
from compress.files import locked, sha256_text, write_text
from compress.folders import Owner, check_folder, claimed
from compress.passes.quantize.schemes import SCHEME_OF
from compress.pipeline.cache import Stages
from compress.pipeline.check_passes import refuse_passes
from compress.pipeline.context import RunContext
from compress.pipeline.models import Models
from compress.pipeline.probe import CROP, NETWORKS, Probe, ProbeLoss, settled
from compress.pipeline.workers import SharedFiles, Store, Workers, scratch, share_out, shared_files
from compress.progress import Progress
from compress.recipe.schema import Recipe
from compress.text import duration

if TYPE_CHECKING:
    from rich.table import Table

    from compress.elir.model import Elir


WORST = 12  # layers in the terminal's table
WHOLE = "whole model"


@dataclass(frozen=True)
class Loss:
    """One layer or stage alone in 8 bits; figures as ``ProbeLoss``'s."""

    name: str
    network: str
    layers: int
    parameters: int
    fidelity_db: float
    psnr_drop_db: float

    @property
    def error(self) -> float:
        """Mean squared error that it adds, of [0, 1]."""
        return float(10 ** (-self.fidelity_db / 10))


@dataclass(frozen=True)
class Sensitivity:
    """What was found; ``stages`` ends in the whole model; ``layers`` is empty where it was quick."""

    recipe: str
    format: str
    dataset: str
    pictures: int
    crop: int
    stages: list[Loss]
    layers: list[Loss]

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return asdict(self)

    @property
    def _parts(self) -> list[Loss]:
        """The smallest parts that were measured, which make up the whole model."""
        return self.layers or self.stages[:-1]

    @property
    def _part(self) -> str:
        return "layer" if self.layers else "stage"

    def write_plot(self, path: Path) -> None:
        """An SVG picture, a bar a layer (a stage, where only those were measured): its share of the sum of all their
        squared errors, in the model's order.
        """
        from compress.report.bars import Bar, draw_bars

        total = sum(loss.error for loss in self._parts)
        bars = [
            Bar(
                loss.network,
                loss.error / total,
                f"{loss.name}: {loss.fidelity_db:.1f} dB, {100 * loss.error / total:.1f} % of the error",
            )
            for loss in self._parts
        ]
        title = f"{self.recipe}, {self.format}: share of the squared error, each {self._part} alone in 8 bits"
        write_text(path, draw_bars(title, bars))

    def table(self) -> "Table":
        """A table for a terminal: stages in the model's order, then the worst layers."""
        from rich.table import Table

        table = Table(
            title=f"{self.recipe}: {self.format}, one part alone in 8 bits ({self.dataset}, n = {self.pictures})",
            caption=f"fidelity against the float model; % of the squared error of all {self._part}s, each alone",
        )
        for name in ("part", "layers", "parameters", "fidelity dB", "drop dB", "%"):
            table.add_column(name, justify="left" if name == "part" else "right", no_wrap=True)
        total = sum(loss.error for loss in self._parts)
        worst = sorted(self.layers, key=lambda loss: loss.fidelity_db)[:WORST]
        for group in (self.stages, worst):
            for loss in group:
                figures = f"{loss.fidelity_db:.1f}", f"{loss.psnr_drop_db:+.4f}", f"{100 * loss.error / total:.1f}"
                table.add_row(loss.name, str(loss.layers), f"{loss.parameters:,}", *figures)
            table.add_section()
        return table


def sensitivity(
    context: RunContext,
    format_: str | None,
    pictures: int,
    workers: Workers | None = None,
    store: str | None = None,
    *,
    quick: bool = False,
) -> Sensitivity:
    """Quantize each stage and each convolution of the recipe's model alone, in the torch model that every format is
    written from, with the numbers that its ``ptq`` (and ``qat``) settle; what was measured before is kept in the
    context's folder.

    ``workers``: measures parts at once where it can; ``store``: where its nodes find what was calibrated, by default a
    folder in there; ``quick``: each stage only.
    Raises InputError for a recipe without ``ptq`` of engine elir, or a format that it does not export.
    """
    recipe, out, owner = context.recipe, context.folder, Owner("bundle", context.recipe.name)
    check_folder(out, owner)
    left = shared_files(out, store) if workers else None
    context = replace(context, shared=left)
    inputs, planned = context.inputs, context.planned
    inputs.validation[0].require_truth("sensitivities are drops against them")
    pictures = min(pictures, len(inputs.validation[0]))
    chosen = format_ or next((f for f in FORMATS if any(a.format == f and a.precision == "int8" for a in planned)), "")
    if not any(a.format == chosen and a.precision == "int8" for a in planned):
        asked = f"{chosen} in 8 bits" if chosen else "anything in 8 bits"
        raise InputError(f"{recipe.name}: does not export {asked}: choose another format, or add it under export")
    refuse_passes(context)
    what = "every stage" if quick else "every stage, then every layer (--quick leaves the layers out)"
    say = context.progress.say
    say(f"first the recipe's passes; then {what}")
    with claimed(out, owner, say):
        models = Models(context)
        say(_expected(models.subject.model, pictures, quick=quick))
        probe = Probe(models, SCHEME_OF[chosen], inputs.validation[0], pictures, settled(models))
        parts = [] if quick else [(name, [name]) for name in probe.convs]
        whole = [*probe.stages().items(), (WHOLE, list(probe.convs))]
        with context.progress.stage("one part at a time", len(parts) + len(whole)) as stage:
            measured = []
            extra = [chosen, pictures, CROP, inputs.validation[0].hash]
            kept = [_PartRecord(context.stages, name, convs, extra) for name, convs in [*whole, *parts]]
            known = _measure_at_once(workers, left, probe, kept) if workers and left else {}
            for part in kept:
                worked = not (part.done() or tuple(part.convs) in known)
                record = part.run(lambda convs: known.get(tuple(convs)) or probe.loss(convs))
                network = "" if part.name == WHOLE else probe.network(part.convs[0])
                measured.append(Loss(part.name, network, **asdict(record)))
                stage.advance(worked=worked)
    n = len(probe.lq)
    return Sensitivity(
        recipe.name, chosen, inputs.validation[0].name, n, CROP, measured[: len(whole)], measured[len(whole) :]
    )


def _expected(model: "Elir", pictures: int, *, quick: bool) -> str:
    """About how long the parts will take, by a pass of the float model: before the first is quantized."""
    import torch

    from compress.elir.latent import noise_shape

    lq, noise = torch.zeros(pictures, 3, CROP, CROP), torch.zeros(noise_shape(CROP, CROP, pictures))
    with torch.no_grad():
        model(lq, noise)  # the first one allocates memory
        began = time.monotonic()
        model(lq, noise)
    each = time.monotonic() - began
    convs = 0 if quick else sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())
    parts = convs + model.k_steps + len(NETWORKS)
    less = "fewer --pictures take less" if quick else "--quick and fewer --pictures take less"
    return (
        f"expected time: about {duration(each * parts)} for at most {parts} parts on {pictures} pictures "
        f"({each:.2g} s per part), beside the passes; {less}"
    )


@dataclass(frozen=True)
class _PartRecord:
    """One part's figures, remembered among a run's stages."""

    stages: Stages
    name: str
    convs: list[str]
    extra: list[Any]
    """Format, number of pictures, crop, hash of the set."""

    @property
    def _stage(self) -> tuple[str, list[Any]]:
        return f"sensitivity-{self.extra[0]}-{self.name}".replace(" ", "-"), [*self.extra, self.convs]

    def done(self) -> bool:
        return self.stages.done(*self._stage)

    def run(self, work: Callable[[list[str]], ProbeLoss]) -> ProbeLoss:
        name, key = self._stage
        return self.stages.run_as(ProbeLoss, name, partial(work, self.convs), key)


def _measure_at_once(
    workers: Workers, left: SharedFiles, probe: Probe, parts: list[_PartRecord]
) -> dict[tuple[str, ...], ProbeLoss]:
    """Figures of the parts that are not known yet, by their convolutions, measured by workers."""
    todo = [part.convs for part in parts if not part.done()]
    recipe = probe.models.context.recipe.model_dump_json()
    common = {"recipe": recipe, "scheme": probe.scheme_name, "pictures": len(probe.lq), "store": left.store.url}
    records = share_out(workers, "sensitivity", losses, common, todo)
    return {tuple(convs): record for convs, record in zip(todo, records, strict=True)}


def losses(recipe: str, scheme: str, pictures: int, store: str, parts: list[list[str]]) -> list[ProbeLoss]:
    """``Probe.loss`` of each of ``parts``, on whichever node; what the ``recipe`` (JSON) calibrated is in ``store``."""
    probe = _probe(recipe, scheme, pictures, store)
    return [probe.loss(convs) for convs in parts]


@lru_cache(maxsize=1)
def _probe(recipe: str, scheme: str, pictures: int, store: str) -> Probe:
    chosen = Recipe.model_validate_json(recipe)
    folder = scratch(sha256_text(recipe + store))
    with locked(folder, lambda text: None):
        models = Models(RunContext(chosen, folder, Progress("silent"), shared=SharedFiles(Store(store))))
        return Probe(models, scheme, models.context.inputs.validation[0], pictures, settled(models))
