"""Quality of artifacts, run in their runtimes, on validation sets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import Artifact
from compress.data.sets import NO_TRUTH, Item, PictureSet
from compress.errors import VerificationError
from compress.files import whole_file
from compress.progress import Progress
from compress.recipe.schema import Recipe
from compress.recipe.task import task_border, task_input
from compress.results.quality import Baseline, Quality
from compress.results.sample import Sample

if TYPE_CHECKING:
    import numpy as np

    from compress.artifacts.runtime.base import Runner
    from compress.pipeline.shapes import ShapeGroup

SAMPLES = 4
Scores = dict[str, float | None]
FULL = ("psnr_db", "psnr_y_db", "ssim", "lpips", "color_shift")
"""Measures against the clean picture."""
# drop or rise -> (measure, sign): worse is positive
DROPS = {"psnr_drop_db": ("psnr_db", -1), "ssim_drop": ("ssim", -1), "lpips_rise": ("lpips", 1)}

AGAINST = ("fidelity_db", "color_shift_vs_fp32", "histogram_vs_fp32")  # of an output, with the fp32 artifact's


def open_runners(folder: Path, artifacts: Sequence[Artifact]) -> "dict[str, Runner]":
    """Every artifact, loaded on this machine's physical cores, by id."""
    from compress.artifacts.runtime.open import open_runner
    from compress.measure.machine import physical_cores

    return {a.id: open_runner(folder / a.entry, a.format, physical_cores()) for a in artifacts}  # type: ignore[arg-type]


class ArtifactOutputs:
    """What artifacts make of the pictures of a set, each run once: quality, parity and the samples ask for the same.

    Outputs of pictures number ``kept`` stay in memory, floats as the runtime gave them; the others are run again.
    """

    def __init__(self, folder: Path, seed: int, kept: Iterable[int] = ()) -> None:
        self.folder, self.seed, self._kept = folder, seed, frozenset(kept)
        self._runners: dict[str, Runner] = {}
        self._outputs: dict[tuple[str, int], np.ndarray] = {}

    def of(self, artifact: Artifact, item: Item, index: int) -> "np.ndarray":
        """(3, H, W) float32 of picture number ``index``, of pictures of 8 bits in steps of 1/255.

        Raises VerificationError for NaN or Inf, naming both.
        """
        import numpy as np

        from compress.data.pictures import to_float

        if (output := self._outputs.get((artifact.id, index))) is not None:
            return output
        if artifact.id not in self._runners:
            self._runners |= open_runners(self.folder, [artifact])
        runner = self._runners[artifact.id]
        noise = runner.noise_of(self.seed, index)
        if runner.takes_pictures:
            assert item.image is not None  # require_images refuses the set before
            output = to_float(runner.restore(item.image[None], noise))[0]
        else:
            output = runner.run(to_float([item.degraded]), noise)[0]
        if not np.isfinite(output).all():
            raise VerificationError(
                f"{artifact.id} gives NaN or Inf for {item.name}: leave the recipe's passes out one by one"
            )
        if index in self._kept:
            self._outputs[artifact.id, index] = output
        return output

    def close(self) -> None:
        """Let the loaded artifacts go; what is kept stays."""
        self._runners.clear()


def format_quality(
    outputs: ArtifactOutputs,
    artifacts: Sequence[Artifact],
    pictures: PictureSet,
    recipe: Recipe,
    progress: Progress,
) -> list[Quality]:
    """``quality`` entries of one format's artifacts on one set; pictures are streamed.

    Drops, ``fidelity_db`` (mean PSNR of 8-bit outputs) and the shifts are against the fp32 artifact of
    the same runtime with the same noise; None without one. ``pictures``: each picture's own scores, in order.
    Without true pictures, ``niqe`` stands for the measures that need them.
    """
    from compress.data.pictures import to_uint8

    reference = next((a.id for a in artifacts if a.precision == "fp32"), None)
    scores: dict[str, list[Scores]] = {a.id: [] for a in artifacts}
    against: dict[str, list[dict[str, float]]] = {a.id: [] for a in artifacts}
    names: list[str] = []
    border = task_border(recipe.model.task)
    with progress.stage(f"quality of {artifacts[0].format} on {pictures.name}", len(pictures)) as stage:
        for i, item in enumerate(pictures):
            restored = {a.id: to_uint8(outputs.of(a, item, i)) for a in artifacts}
            names.append(item.name)
            scored = _scorer(item, border)
            for name, output in restored.items():
                scores[name].append(scored(output))
                fp32 = restored[reference] if reference and name != reference else None
                against[name].append({} if fp32 is None else _differ(output, fp32))
            stage.advance()
    outputs.close()
    means = {name: _mean(each) for name, each in scores.items()}
    return [
        Quality.model_validate(
            {
                "artifact": name,
                "dataset": pictures.name,
                **_rounded(mean),
                "n": len(names),
                **_note(pictures),
                **_against(name, reference, means, against),
                "pictures": [
                    {"name": picture, **_rounded(own), **_rounded(differs)}
                    for picture, own, differs in zip(names, scores[name], against[name], strict=True)
                ],
            }
        )
        for name, mean in means.items()
    ]


def _scorer(item: Item, border: int) -> "Callable[[np.ndarray], Scores]":
    """Scores of one output: against the clean picture, or what needs none."""
    from compress.measure.niqe import niqe
    from compress.measure.quality import Reference

    if item.clean is None:
        return lambda output: {**dict.fromkeys(FULL), "niqe": niqe(output, border)}
    clean = Reference(item.clean, border)

    def full(output: "np.ndarray") -> Scores:
        score = clean.score(output)
        return {name: getattr(score, name) for name in FULL}

    return full


def _mean(each: "Sequence[Scores]") -> "Scores":
    """Means of pictures' scores, over those that have one."""
    present = {name: [value for scores in each if (value := scores[name]) is not None] for name in each[0]}
    return {name: fmean(values) if values else None for name, values in present.items()}


def _note(pictures: PictureSet) -> dict[str, str]:
    return {} if pictures.has_truth else {"note": NO_TRUTH}


def _differ(output: "np.ndarray", fp32: "np.ndarray") -> dict[str, float]:
    from compress.measure.quality import color_shift, histogram_shift, psnr_db

    values = (psnr_db(output, fp32), color_shift(output, fp32), histogram_shift(output, fp32))
    return dict(zip(AGAINST, values, strict=True))


def _against(name: str, reference: str | None, means: "Mapping[str, Scores]", against: Any) -> Scores:
    if reference is None or name == reference:
        return dict.fromkeys((*DROPS, *AGAINST))
    drops = {drop: _worse(means[name][field], means[reference][field], sign) for drop, (field, sign) in DROPS.items()}
    differs = {field: fmean(picture[field] for picture in against[name]) for field in against[name][0]}
    return _rounded({**drops, **differs})


def _worse(own: float | None, reference: float | None, sign: int) -> float | None:
    return None if own is None or reference is None else sign * (own - reference)


def _rounded(values: "Mapping[str, float | None]") -> Scores:
    return {name: None if value is None else round(value, 5) for name, value in values.items()}


def input_baseline(sets: Sequence[PictureSet], recipe: Recipe) -> list[Baseline]:
    """``baselines`` entries: the degraded input itself, which for super-resolution is bicubic enlargement."""
    name, border = task_input(recipe.model.task), task_border(recipe.model.task)
    entries = []
    for pictures in sets:
        each = [_scorer(item, border)(item.degraded) for item in pictures]
        scores = {**_rounded(_mean(each)), "n": len(each), **_note(pictures)}
        entries.append(Baseline.model_validate({"name": name, "dataset": pictures.name, **scores}))
    return entries


def sample_places(pictures: PictureSet) -> list[int]:
    """Numbers of the sample pictures, spread over a set."""
    return list(range(0, len(pictures), max(1, len(pictures) // SAMPLES)))[:SAMPLES]


def write_samples(
    outputs: ArtifactOutputs,
    group: "ShapeGroup",
    progress: Progress,
    *,
    images: bool = False,
) -> list[Sample]:
    """Write before, after and truth of pictures spread over the group's first set -> ``samples`` entries.

    ``images``: and what becomes the picture before when it is enlarged, for artifacts that do so themselves.
    """
    from compress.data.pictures import to_uint8

    folder, pictures, suffix = outputs.folder, group.sets[0], group.suffix
    places = sample_places(pictures)
    chosen = [(i, item) for i, item in enumerate(pictures) if i in places]
    samples = [
        Sample(
            name=item.name,
            index=i,
            degraded=save_sample(folder, item.name, f"degraded{suffix}", item.degraded),
            clean=None if item.clean is None else save_sample(folder, item.name, f"clean{suffix}", item.clean),
            outputs={},
            simulated={},
            **({"image": save_sample(folder, item.name, f"image{suffix}", item.image)} if images else {}),  # type: ignore[arg-type]
        )
        for i, item in chosen
    ]
    with progress.stage("sample pictures", len(group.runnable), even=False) as stage:
        for artifact in group.runnable:
            for sample, (i, item) in zip(samples, chosen, strict=True):
                output = to_uint8(outputs.of(artifact, item, i))
                sample.outputs[artifact.id] = save_sample(folder, item.name, artifact.id, output)
            outputs.close()
            stage.advance()
    return samples


def sample_files(samples: Sequence[Sample]) -> list[str]:
    """Every file of ``samples`` entries, relative to the bundle."""
    return [file for sample in samples for file in sample.files]


def sample_path(name: str, kind: str) -> str:
    """Where a sample lies in a bundle; no two names and kinds share a file, since no ``kind`` holds a "_"."""
    return f"samples/{name}_{kind}.png"


def save_sample(folder: Path, name: str, kind: str, picture: "np.ndarray") -> str:
    """Write a picture (H, W, 3) uint8 among a bundle's samples; its path there."""
    from PIL import Image

    path = sample_path(name, kind)
    with whole_file(folder / path) as part:
        Image.fromarray(picture).save(part, "PNG")
    return path
