"""Quality of a checkpoint, an artifact or a bundle on pictures, beside bicubic; and a checkpoint's model card."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress import library
from compress.errors import InputError
from compress.measure.quality import QualityScore, mean_score, score
from compress.progress import Progress
from compress.schema import Task, task_degradation

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    Restore = Callable[[np.ndarray], np.ndarray]
    Pair = tuple[np.ndarray, np.ndarray]

AUTOENCODER = "tae16"
MIN_SIDE = 32  # px, of LPIPS
COLUMNS = {"psnr_db": "PSNR dB", "psnr_y_db": "PSNR-Y dB", "ssim": "SSIM", "lpips": "LPIPS", "color_shift": "colour"}
DIGITS = {"psnr_db": 2, "psnr_y_db": 2, "ssim": 4, "lpips": 4, "color_shift": 2}


@dataclass(frozen=True)
class SetResult:
    """Scores on one set, by who made the pictures: ``model``, ``bicubic`` and, where asked for, ``autoencoder``."""

    dataset: str
    whole: bool
    """Whole pictures, not crops."""
    scores: dict[str, QualityScore]

    @property
    def lpips_below_bicubic(self) -> float:
        """By which share the model's LPIPS lies below bicubic's."""
        return 1 - self.scores["model"].lpips / self.scores["bicubic"].lpips

    @property
    def psnr_against_bicubic_db(self) -> float:
        """Model's PSNR less bicubic's, in dB."""
        return self.scores["model"].psnr_db - self.scores["bicubic"].psnr_db


@dataclass(frozen=True)
class Evaluation:
    """What ``compress evaluate`` found."""

    source: str
    task: Task
    seed: int
    results: list[SetResult]

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        results = [
            {"dataset": r.dataset, "whole": r.whole, **{who: asdict(s) for who, s in r.scores.items()}}
            for r in self.results
        ]
        return {"source": self.source, "task": self.task, "seed": self.seed, "results": results}

    def table(self) -> "Table":
        """For a terminal."""
        from rich.table import Table

        table = Table(title=f"{self.source} ({self.task})")
        for name in ("set", "n", "", *COLUMNS.values()):
            table.add_column(name, justify="right" if name in ("n", *COLUMNS.values()) else "left")
        for result in self.results:
            for who, given in result.scores.items():
                table.add_row(result.dataset, str(given.n), who, *cells(given))
        return table


def cells(given: QualityScore) -> list[str]:
    """The figures of one score, in the order of COLUMNS."""
    return [f"{getattr(given, name):.{DIGITS[name]}f}" for name in COLUMNS]


def evaluate(source: str, sets: Sequence[str], seed: int, progress: Progress, ceiling: bool = False) -> Evaluation:
    """Measure ``source`` (bundled name, checkpoint, artifact, bundle) on ``sets``: names, set files, or folders.

    A folder's pictures are measured whole, cut to a multiple of the scale; a set's, as it crops them. ``ceiling``
    adds the bundled autoencoder's own reconstruction of the clean pictures. Outputs are rounded to 8 bits first.
    Raises InputError (no pictures; too small) and what opening the source raises.
    """
    from compress.restorer import Settings, open_restorer

    if not sets:
        raise InputError("no pictures to measure on: give --data with a set or a folder")
    scale = open_restorer(source, Settings(seed=seed)).scale
    task: Task = f"sr_x{scale}"  # type: ignore[assignment]
    # Degraded pictures stand on the output grid already: scale 1.
    restorer = open_restorer(source, Settings(seed=seed, scale=1))
    who: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "model": lambda degraded, clean: restorer.restore(degraded, lambda: None),
        "bicubic": lambda degraded, clean: degraded,
    }
    if ceiling:
        reconstruct = _autoencoder()
        who["autoencoder"] = lambda degraded, clean: reconstruct(clean)
    results = []
    for name in sets:
        dataset, whole, count, pairs = _pictures(name, task, scale)
        with progress.stage(f"measure on {dataset}", total=count) as stage:
            scores: dict[str, list[QualityScore]] = {maker: [] for maker in who}
            for degraded, clean in pairs:
                for maker, make in who.items():
                    scores[maker].append(score([make(degraded, clean)], [clean], border=scale))
                stage.advance()
        results.append(SetResult(dataset, whole, {maker: mean_score(each) for maker, each in scores.items()}))
    return Evaluation(source, task, seed, results)


def _autoencoder() -> "Restore":
    """Clean picture (H, W, 3) uint8 -> what the bundled autoencoder makes of it."""
    import torch

    from compress.elir.checkpoint import load_autoencoder
    from compress.elir.fresh import teacher_model
    from compress.elir.restore import restore

    model = teacher_model(load_autoencoder(library.find("weights", AUTOENCODER)))

    def run(lq: "np.ndarray", noise: "np.ndarray") -> "np.ndarray":
        with torch.inference_mode():
            return model.dec(model.enc(torch.from_numpy(lq))).numpy()

    return lambda clean: restore(clean, run)


def _pictures(name: str, task: Task, scale: int) -> "tuple[str, bool, int, Iterable[Pair]]":
    """(set's name, whole pictures or crops, how many, pairs of degraded and clean)."""
    from compress.data.pictures import find_pictures
    from compress.data.sets import load_set

    folder = library.find("calibration", name)
    if not folder.is_dir():
        pictures = load_set(name, task)
        return pictures.name, False, len(pictures), ((item.degraded, item.clean) for item in pictures)
    paths = find_pictures(folder)
    if not paths:
        raise InputError(f"{folder}: no pictures in this folder: check the path")
    return folder.resolve().name, True, len(paths), _whole(paths, task, scale)


def _whole(paths: Sequence[Path], task: Task, scale: int) -> "Iterator[Pair]":
    from compress.data.degradations import degrade
    from compress.data.pictures import read_rgb

    for path in paths:
        picture = read_rgb(path)
        height, width = (n // scale * scale for n in picture.shape[:2])
        if min(height, width) < MIN_SIDE:
            raise InputError(f"{path}: {width} x {height} px, LPIPS needs {MIN_SIDE} px a side: leave the picture out")
        clean = picture[:height, :width].copy()
        yield degrade(clean, task_degradation(task), 0), clean


def model_card(checkpoint: Path, sets: Sequence[str], progress: Progress) -> str:
    """The model card of ``checkpoint`` (a path, or a bundled name), in Markdown, measured on ``sets``.

    Errors as ``evaluate``.
    """
    from compress.elir.checkpoint import load_checkpoint

    path = library.find("weights", str(checkpoint))
    model = load_checkpoint(path)
    result = evaluate(str(checkpoint), sets, 0, progress, ceiling=True)
    networks = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in _NETWORKS}
    facts = model.metadata
    return "\n".join(
        [
            f"# {path.stem}",
            "",
            f"ELIR ([arXiv 2502.03500](https://arxiv.org/abs/2502.03500)) for {_task_words(result.task)}.",
            "",
            *_table(("", ""), _facts(path, model.config, networks)),
            "",
            "## Training",
            "",
            f"- Steps: {facts.get('training', 'not recorded in the file')}",
            f"- Data: {facts.get('data', 'not recorded in the file')}",
            f"- Recipe: {facts.get('recipe', 'not recorded')}, hash {facts.get('recipe_hash', 'not recorded')[:16]}",
            f"- Licence: {facts.get('licence', 'not recorded in the file')}",
            *([f"- Notes: {facts['notes']}"] if "notes" in facts else []),
            "",
            "## Measured quality",
            "",
            *_quality(result, facts.get("training", "")),
            "",
            "Made by:",
            "",
            "```",
            f"compress card {_shown(path, 'weights')} {_data_options(sets)}",
            "```",
            "",
        ]
    )


_NETWORKS = {"enc": "encoder", "mmse": "MMSE estimator", "fmir": "flow", "dec": "decoder"}


def _task_words(task: Task) -> str:
    return f"super-resolution x{task.removeprefix('sr_x')} of photographs (inputs reduced by antialiased bicubic)"


def _facts(path: Path, config: Any, networks: dict[str, int]) -> list[tuple[str, str]]:
    each = ", ".join(f"{_NETWORKS[name]} {count / 1e6:.2f} M" for name, count in networks.items())
    return [
        ("parameters", f"{sum(networks.values()) / 1e6:.2f} M: {each}"),
        (
            "widths",
            f"hid {config.hid_channels}, n_mid {config.n_mid_blocks}, c_hid {config.c_hid}, n_rrdb {config.n_rrdb}",
        ),
        ("Euler steps K", str(config.k_steps)),
        ("source noise sigma_s", f"{config.sigma_s:g}"),
        ("file", f"{path.stat().st_size / 1e6:.1f} MB"),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


def _quality(result: Evaluation, training: str) -> list[str]:
    head = ("set", "n", "", *list(COLUMNS.values())[:-1], "colour shift /255")
    rows = [(r.dataset, str(s.n), who, *cells(s)) for r in result.results for who, s in r.scores.items()]
    against = [
        (r.dataset, f"{r.lpips_below_bicubic:.1%}", f"{r.psnr_against_bicubic_db:+.2f} dB") for r in result.results
    ]
    return [
        "Means over the pictures, after rounding to 8 bits. PSNR and SSIM on RGB with no border cut; PSNR-Y on BT.601",
        "luma with the scale cut off every side; LPIPS: AlexNet, v0.1, lower is nearer; colour shift: mean absolute",
        "difference of the channel means. `autoencoder` is the bundled autoencoder's reconstruction of the *clean*",
        "picture: what this latent space can hold, a ceiling for the model.",
        f"Pictures are {_measured_on(result)}; noise seed {result.seed}.",
        "",
        *_table(head, rows),
        "",
        *_table(("set", "LPIPS below bicubic", "PSNR against bicubic"), against),
        "",
        *_plane(result, training),
    ]


def _plane(result: Evaluation, training: str) -> list[str]:
    """What the figures mean, and what they do not."""
    return [
        "Distortion (PSNR, SSIM) and perception (LPIPS) pull apart, and no model has the best of both. Bicubic",
        "enlargement is blurred, but close in every pixel. This model draws plausible texture, not the true one:",
        f"PSNR {_span([r.psnr_against_bicubic_db for r in result.results], '{:+.2f}')} dB against bicubic, LPIPS",
        f"{_span([100 * r.lpips_below_bicubic for r in result.results], '{:.0f}')} % below it. Never take its details",
        f"(faces, text, number plates) as evidence. {_LPIPS_TRAINED[_lpips_in(training)]} Look at pictures too.",
    ]


_LPIPS_TRAINED = {
    "yes": "The same LPIPS was a training loss: part of that gain is what was optimised.",
    "no": "LPIPS was not a training loss.",
    "unknown": "Whether LPIPS was a training loss is not recorded.",
}


def _lpips_in(training: str) -> str:
    return "unknown" if not training else "yes" if "lpips" in training.lower() else "no"


def _span(values: Sequence[float], text: str) -> str:
    low, high = text.format(min(values)), text.format(max(values))
    return low if low == high else f"{low} to {high}"


def _measured_on(result: Evaluation) -> str:
    whole = [r.dataset for r in result.results if r.whole]
    crops = [r.dataset for r in result.results if not r.whole]
    parts = ([f"whole in {', '.join(whole)}"] if whole else []) + ([f"crops in {', '.join(crops)}"] if crops else [])
    return " and ".join(parts)


def _data_options(sets: Sequence[str]) -> str:
    return " ".join(f"--data {_shown(Path(s), 'calibration') if library.is_path(s) else s}" for s in sets)


def _shown(path: Path, kind: library.Kind) -> str:
    """A built-in file's name; any other without the place where it happened to lie."""
    path = path.resolve()
    return path.stem if path.parent == library.data_folder(kind).resolve() else f"path/to/{path.name}"
