"""Sensitivity: what is lost when only one convolution, or one stage, of the model is quantized."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts import FORMATS, Writer, plan_artifacts
from compress.engine import Engine, Left, Store, each, scratch
from compress.errors import InputError
from compress.files import locked, sha256_text, write_text
from compress.models import Models
from compress.plan import resolve
from compress.progress import Progress
from compress.schema import Recipe
from compress.stages import Stages

if TYPE_CHECKING:
    import torch
    from rich.table import Table
    from torch import nn


CROP = 128  # px, the middle of each picture: a hundred models are run
SCHEMES = {"openvino": "openvino", "onnx": "onnxruntime", "executorch": "xnnpack"}
SHARES = 4  # pieces of work for each worker
WORST = 12  # layers in the terminal's table
WHOLE = "whole model"
NETWORKS = {"enc": "encoder", "mmse": "MMSE estimator", "fmir": "flow", "dec": "decoder"}


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
    recipe: Recipe,
    out: Path | None,
    format_: str | None,
    pictures: int,
    resume: bool,
    progress: Progress,
    engine: Engine | None = None,
    store: str | None = None,
) -> Sensitivity:
    """Quantize each stage and each convolution of ``recipe``'s model alone, in the torch model that every format is
    written from, with the numbers that its ``ptq`` (and ``qat``) settle; what was measured before is kept in ``out``.

    ``engine``: measures parts at once where it can; ``store``: where its nodes find what was calibrated, by default a
    folder in ``out``.
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
        left = Left(Store(store or str((out / ".shared").absolute()))) if engine else None
        models = Models(recipe, inputs, planned, Writer(recipe, out), stages, progress, left)
        probe = Probe(models, SCHEMES[chosen], pictures)
        parts = [(name, [name]) for name in probe.convs]
        whole = [*probe.stages().items(), (WHOLE, list(probe.convs))]
        with progress.stage("one part at a time", len(parts) + len(whole)) as stage:
            found = []
            extra = [chosen, pictures, CROP, inputs.validation[0].hash]
            kept = [_Kept(stages, name, convs, extra) for name, convs in [*whole, *parts]]
            known = _measure_at_once(engine, left, recipe, probe, kept) if engine and left else {}
            for part in kept:
                record = part.run(lambda convs: known.get(tuple(convs)) or probe.loss(convs))
                found.append(Loss(part.name, "" if part.name == WHOLE else probe.network(part.convs[0]), **record))
                stage.advance()
    n = len(probe.clean)
    return Sensitivity(
        recipe.name, chosen, inputs.validation[0].name, n, CROP, found[: len(whole)], found[len(whole) :]
    )


@dataclass(frozen=True)
class _Kept:
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

    def run(self, work: Callable[[list[str]], dict[str, Any]]) -> dict[str, Any]:
        name, key = self._stage
        record: dict[str, Any] = self.stages.run(name, partial(work, self.convs), key)
        return record


def _measure_at_once(
    engine: Engine, left: Left, recipe: Recipe, probe: "Probe", parts: list[_Kept]
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Figures of the parts that are not known yet, by their convolutions, measured by an engine's workers."""
    todo = [part.convs for part in parts if not part.done()]
    pieces = SHARES * engine.workers
    shares = [todo[i::pieces] for i in range(min(pieces, len(todo)))]
    common = {"recipe": recipe.model_dump(mode="json"), "scheme": probe.name, "pictures": len(probe.clean)}
    given = [{**common, "store": left.store.url, "parts": share} for share in shares]
    found = each(engine, "sensitivity", losses, given, lambda outcome: None)
    return {
        tuple(convs): record
        for share, records in zip(shares, found, strict=True)
        for convs, record in zip(share, records, strict=True)
    }


def losses(
    recipe: dict[str, Any], scheme: str, pictures: int, store: str, parts: list[list[str]]
) -> list[dict[str, Any]]:
    """``Probe.loss`` of each of ``parts``, on whichever node; what the recipe calibrated is in ``store``."""
    probe = _probe(json.dumps(recipe, sort_keys=True), scheme, pictures, store)
    return [probe.loss(convs) for convs in parts]


@lru_cache(maxsize=1)
def _probe(recipe: str, scheme: str, pictures: int, store: str) -> "Probe":
    chosen = Recipe.model_validate_json(recipe)
    inputs, planned = resolve(chosen), plan_artifacts(chosen)
    folder = scratch(sha256_text(recipe + store))
    with locked(folder, lambda text: None):
        stages, silent = Stages(folder, inputs.key, True), Progress("silent")
        models = Models(chosen, inputs, planned, Writer(chosen, folder), stages, silent, Left(Store(store)))
        return Probe(models, scheme, pictures)


class Probe:
    """The float model, what quantization settled for each of its convolutions, and the pictures to compare on."""

    def __init__(self, models: Models, scheme: str, pictures: int) -> None:
        from compress.passes.quantized_model import SCHEMES as ALL

        self.models, self.name, self.scheme = models, scheme, ALL[scheme]
        self.model, quantized = models.subject.model, models.quantized
        if not quantized.layers:
            raise InputError(f"passes.ptq.engine: {quantized.engine} settles no layer by itself: use engine elir")
        self.layers = quantized.layers
        self.convs = {name: self.model.get_submodule(name) for name in self.layers}
        self.lq, self.noise, self.clean = self._pictures(pictures)
        self.reference = self._restore(self.model)

    def _pictures(self, most: int) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        import torch

        from compress.data.pictures import to_float

        chosen = self.models.inputs.validation[0]
        found = []
        for (lq, noise), item in zip(self.models.pairs(chosen, most), chosen, strict=False):
            clean = torch.from_numpy(to_float([item.clean]))
            found.append((_middle(lq, 8), _middle(noise, 1), _middle(clean, 8)))
        lqs, noises, cleans = (torch.cat(parts) for parts in zip(*found, strict=True))
        return lqs, noises, cleans

    def _restore(self, model: "nn.Module") -> "torch.Tensor":
        import torch

        with torch.no_grad():
            return model(self.lq, self.noise).clamp(0, 1)

    def stages(self) -> dict[str, list[str]]:
        """The convolutions of each stage: encoder, MMSE estimator, every Euler step, decoder."""
        found: dict[str, list[str]] = {}
        for name in self.convs:
            step = name.split(".")[2] if name.startswith("fmir.steps.") else None
            label = self.network(name) if step is None else f"flow, step {int(step) + 1}"
            found.setdefault(label, []).append(name)
        return found

    def network(self, name: str) -> str:
        """The network that a convolution belongs to."""
        return NETWORKS[name.partition(".")[0]]

    def loss(self, convs: list[str]) -> dict[str, Any]:
        """Figures of the model whose convolutions ``convs`` alone are quantized."""
        from compress.passes.quantized_model import build

        chosen = {name: self.convs[name] for name in convs}
        restored = self._restore(build(self.model, self.scheme, chosen, self.layers))
        drops = [_psnr(r, c) - _psnr(x, c) for r, x, c in zip(self.reference, restored, self.clean, strict=True)]
        weights = {id(conv.weight): conv.weight.numel() for conv in chosen.values()}
        return {
            "layers": len(convs),
            "parameters": sum(weights.values()),
            "fidelity_db": _psnr(restored, self.reference),
            "psnr_drop_db": sum(drops) / len(drops),
        }


def _psnr(a: "torch.Tensor", b: "torch.Tensor") -> float:
    return -10 * math.log10(max((a - b).square().mean().item(), 1e-14))


def _middle(x: "torch.Tensor", cell: int) -> "torch.Tensor":
    """The middle of (1, C, H, W) with ``cell`` px a latent pixel, CROP px of the picture; all where it is smaller."""
    side = CROP // 8 * cell
    top, left = ((n // cell - min(n, side) // cell) // 2 * cell for n in x.shape[-2:])
    return x[..., top : top + side, left : left + side]
