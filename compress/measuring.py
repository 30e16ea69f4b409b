"""Quality of artifacts, run in their runtimes, on validation sets."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from compress.artifacts import Artifact
from compress.data.sets import Item, PictureSet
from compress.errors import VerificationError
from compress.files import whole_file
from compress.progress import Progress
from compress.schema import Recipe, task_border, task_input

if TYPE_CHECKING:
    import numpy as np

    from compress.measure.quality import QualityScore
    from compress.runtime.base import Runner

SAMPLES = 4
# drop or rise -> (measure, sign): worse is positive
DROPS = {"psnr_drop_db": ("psnr_db", -1), "ssim_drop": ("ssim", -1), "lpips_rise": ("lpips", 1)}

AGAINST = ("fidelity_db", "color_shift_vs_fp32", "histogram_vs_fp32")  # of an output, with the fp32 artifact's


def open_runners(folder: Path, artifacts: Sequence[Artifact]) -> "dict[str, Runner]":
    """Every artifact, loaded on this machine's physical cores, by id."""
    from compress.measure.machine import physical_cores
    from compress.runtime.base import open_runner

    return {a.id: open_runner(folder / a.entry, a.format, physical_cores()) for a in artifacts}  # type: ignore[arg-type]


def restore_crop(runner: "Runner", degraded: "np.ndarray", seed: int, index: int) -> "np.ndarray":
    """Output (S, S, 3) uint8 of an artifact for picture number ``index`` of a set.

    Raises FloatingPointError when it holds NaN or Inf.
    """
    import numpy as np

    from compress.data.pictures import to_float, to_uint8
    from compress.export.deployed import picture_noise

    noise = picture_noise(degraded.shape[0], seed, index)
    hq = runner.run(to_float([degraded]), noise.numpy())[0]
    if not np.isfinite(hq).all():
        raise FloatingPointError("NaN or Inf")
    return to_uint8(hq)


def _restored(runner: "Runner", name: str, item: Item, seed: int, index: int) -> "np.ndarray":
    """``restore_crop``; raises VerificationError, naming artifact and picture, for an output that holds NaN or Inf."""
    try:
        return restore_crop(runner, item.degraded, seed, index)
    except FloatingPointError as error:
        raise VerificationError(
            f"{name} gives {error} for {item.name}: leave the recipe's passes out one by one"
        ) from None


def format_quality(
    folder: Path, artifacts: Sequence[Artifact], pictures: PictureSet, recipe: Recipe, progress: Progress
) -> list[dict[str, Any]]:
    """``quality`` entries of one format's artifacts on one set; pictures are streamed.

    Drops, ``fidelity_db`` (mean PSNR of 8-bit outputs) and the shifts are against the fp32 artifact of
    the same runtime with the same noise; None without one. ``pictures``: each picture's own scores, in order.
    """
    from compress.measure.quality import mean_score, score

    runners = open_runners(folder, artifacts)
    reference = next((a.id for a in artifacts if a.precision == "fp32"), None)
    scores: dict[str, list[QualityScore]] = {name: [] for name in runners}
    against: dict[str, list[dict[str, float]]] = {name: [] for name in runners}
    names: list[str] = []
    border = task_border(recipe.model.task)
    with progress.stage(f"quality of {artifacts[0].format} on {pictures.name}", len(pictures)) as stage:
        for i, item in enumerate(pictures):
            outputs = {name: _restored(r, name, item, recipe.model.seed, i) for name, r in runners.items()}
            names.append(item.name)
            for name, output in outputs.items():
                scores[name].append(score([output], [item.clean], border))
                fp32 = outputs[reference] if reference and name != reference else None
                against[name].append({} if fp32 is None else _differ(output, fp32))
            stage.advance()
    means = {name: mean_score(found) for name, found in scores.items()}
    return [
        {
            "artifact": name,
            "dataset": pictures.name,
            **_rounded(asdict(found)),
            **_against(name, reference, means, against),
            "pictures": [
                {"name": picture, **_rounded(_measures(own)), **_rounded(differs)}
                for picture, own, differs in zip(names, scores[name], against[name], strict=True)
            ],
        }
        for name, found in means.items()
    ]


def _differ(output: "np.ndarray", fp32: "np.ndarray") -> dict[str, float]:
    from compress.measure.quality import color_shift, histogram_shift, psnr_db

    values = (psnr_db(output, fp32), color_shift(output, fp32), histogram_shift(output, fp32))
    return dict(zip(AGAINST, values, strict=True))


def _measures(score: "QualityScore") -> dict[str, float]:
    return {name: value for name, value in asdict(score).items() if name != "n"}


def _against(name: str, reference: str | None, means: Any, against: Any) -> dict[str, Any]:
    if reference is None or name == reference:
        return dict.fromkeys((*DROPS, *AGAINST))
    drops = {
        drop: sign * (getattr(means[name], field) - getattr(means[reference], field))
        for drop, (field, sign) in DROPS.items()
    }
    differs = {field: fmean(picture[field] for picture in against[name]) for field in against[name][0]}
    return _rounded({**drops, **differs})


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}


def input_baseline(sets: Sequence[PictureSet], recipe: Recipe) -> list[dict[str, Any]]:
    """``baselines`` entries: the degraded input itself, which for super-resolution is bicubic enlargement."""
    from compress.measure.quality import mean_score, score

    border = task_border(recipe.model.task)
    entries = []
    for pictures in sets:
        found = mean_score([score([item.degraded], [item.clean], border) for item in pictures])
        entries.append({"name": task_input(recipe.model.task), "dataset": pictures.name, **_rounded(asdict(found))})
    return entries


def write_samples(
    folder: Path, artifacts: Sequence[Artifact], pictures: PictureSet, recipe: Recipe, progress: Progress
) -> list[dict[str, Any]]:
    """Write before, after and truth of pictures spread over a set -> ``samples`` entries."""
    step = max(1, len(pictures) // SAMPLES)
    chosen = [(i, item) for i, item in enumerate(pictures) if i % step == 0][:SAMPLES]
    samples = [
        {
            "name": item.name,
            "index": i,
            "degraded": save_sample(folder, item.name, "degraded", item.degraded),
            "clean": save_sample(folder, item.name, "clean", item.clean),
            "outputs": {},
            "simulated": {},
        }
        for i, item in chosen
    ]
    with progress.stage("sample pictures", len(artifacts)) as stage:
        for artifact in artifacts:
            runner = open_runners(folder, [artifact])[artifact.id]
            for sample, (i, item) in zip(samples, chosen, strict=True):
                output = _restored(runner, artifact.id, item, recipe.model.seed, i)
                sample["outputs"][artifact.id] = save_sample(folder, item.name, artifact.id, output)  # type: ignore[index]
            stage.advance()
    return samples


def sample_files(samples: Sequence[dict[str, Any]]) -> list[str]:
    """Every file of ``samples`` entries, relative to the bundle."""
    return [
        file
        for sample in samples
        for file in (sample["degraded"], sample["clean"], *sample["outputs"].values(), *sample["simulated"].values())
    ]


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
