"""Sensitivity: what is lost when only one convolution, or one stage, of the model is quantized."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts import FORMATS, Writer, plan_artifacts
from compress.errors import InputError
from compress.files import locked, write_text
from compress.models import Models
from compress.plan import resolve
from compress.probing import CROP, SCHEMES, Probe, settled
from compress.progress import Progress
from compress.schema import Recipe
from compress.stages import Stages

if TYPE_CHECKING:
    from rich.table import Table


WORST = 12  # layers in the terminal's table
WHOLE = "whole model"


@dataclass(frozen=True)
class Loss:
    """One layer or stage alone in 8 bits. ``fidelity_db``: PSNR against the float model's output, not rounded to 8
    bits; ``psnr_drop_db``: how much further from the clean pictures; ``parameters`` are counted once for all steps.
    """

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
    """What ``compress sensitivity`` found; ``stages`` ends in the whole model."""

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

    def write_plot(self, path: Path) -> None:
        """An SVG picture, a bar a layer: its share of the sum of all layers' squared errors, in the model's order."""
        from compress.report.bars import Bar, draw_bars

        total = sum(loss.error for loss in self.layers)
        bars = [
            Bar(
                loss.network,
                loss.error / total,
                f"{loss.name}: {loss.fidelity_db:.1f} dB, {100 * loss.error / total:.1f} % of the error",
            )
            for loss in self.layers
        ]
        title = f"{self.recipe}, {self.format}: share of the squared error, each layer alone in 8 bits"
        write_text(path, draw_bars(title, bars))

    def table(self) -> "Table":
        """For a terminal: stages in the model's order, then the worst layers."""
        from rich.table import Table

        table = Table(
            title=f"{self.recipe}: {self.format}, one part alone in 8 bits ({self.dataset}, n = {self.pictures})",
            caption="fidelity against the float model; % of the squared error of all layers, each alone",
        )
        for name in ("part", "layers", "parameters", "fidelity dB", "drop dB", "%"):
            table.add_column(name, justify="left" if name == "part" else "right", no_wrap=True)
        total = sum(loss.error for loss in self.layers)
        worst = sorted(self.layers, key=lambda loss: loss.fidelity_db)[:WORST]
        for group in (self.stages, worst):
            for loss in group:
                figures = f"{loss.fidelity_db:.1f}", f"{loss.psnr_drop_db:+.4f}", f"{100 * loss.error / total:.1f}"
                table.add_row(loss.name, str(loss.layers), f"{loss.parameters:,}", *figures)
            table.add_section()
        return table


def sensitivity(
    recipe: Recipe, out: Path | None, format_: str | None, pictures: int, resume: bool, progress: Progress
) -> Sensitivity:
    """Quantize each stage and each convolution of ``recipe``'s model alone, in the torch model that every format is
    written from, with the numbers that its ``ptq`` (and ``qat``) settle; what was measured before is kept in ``out``.

    Raises InputError for a recipe without ``ptq`` of engine elir, or a format that it does not export.
    """
    inputs, planned = resolve(recipe), plan_artifacts(recipe)
    chosen = format_ or next((f for f in FORMATS if any(a.format == f and a.precision == "int8" for a in planned)), "")
    if not any(a.format == chosen and a.precision == "int8" for a in planned):
        asked = f"{chosen} in 8 bits" if chosen else "anything in 8 bits"
        raise InputError(f"{recipe.name}: does not export {asked}: choose another format, or add it under export")
    out = out or Path("runs") / recipe.name
    with locked(out, progress.say):
        stages = Stages(out, inputs.key, resume)
        models = Models(recipe, inputs, planned, Writer(recipe, out), stages, progress)
        probe = Probe(models, SCHEMES[chosen], inputs.validation[0], pictures, settled(models))
        parts = [(name, [name]) for name in probe.convs]
        whole = [*probe.stages().items(), (WHOLE, list(probe.convs))]
        with progress.stage("one part at a time", len(parts) + len(whole)) as stage:
            found = []
            for name, convs in [*whole, *parts]:
                work = partial(probe.loss, convs)
                key = [chosen, pictures, CROP, inputs.validation[0].hash, convs]
                record = stages.run(f"sensitivity-{chosen}-{name}".replace(" ", "-"), work, key)
                found.append(Loss(name, "" if name == WHOLE else probe.network(convs[0]), **record))
                stage.advance()
    n = len(probe.clean)
    return Sensitivity(
        recipe.name, chosen, inputs.validation[0].name, n, CROP, found[: len(whole)], found[len(whole) :]
    )
