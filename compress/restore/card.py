"""The model card of a checkpoint, in Markdown, with every figure measured."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compress.files import real_path
from compress.progress import Progress
from compress.recipe import library
from compress.recipe.task import Task, task_input, task_scale
from compress.restore.evaluate import Evaluation, cells, evaluate
from compress.restore.figures import COLUMNS, JudgeOptions
from compress.restore.open import Settings, load_model

if TYPE_CHECKING:
    from compress.elir.model import Elir

FIRST_AUTOENCODER = "tae16"
"""The autoencoder of models whose files do not name one."""


def model_card(
    checkpoint: Path,
    sets: Sequence[str],
    settings: Settings,
    progress: Progress,
) -> str:
    """The model card of ``checkpoint`` (a path, or a bundled name), in Markdown, measured on ``sets``.

    ``settings``: what the checkpoint does not record, and the seed. Errors as ``evaluate``.
    """

    path = library.find("weights", str(checkpoint))
    model = load_model(path, settings)
    result = evaluate(str(checkpoint), sets, JudgeOptions(settings, ceiling=_autoencoder(model)), progress)
    networks = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in _NETWORKS}
    facts = model.metadata
    return "\n".join(
        [
            f"# {path.stem}",
            "",
            f"ELIR ([arXiv 2502.03500](https://arxiv.org/abs/2502.03500)) for {_task_words(result.task)}.",
            "",
            *_table(("", ""), _facts(path, model, networks)),
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
            "<!-- not run by the tests: needs the public test sets -->",
            "```",
            f"compress card {_shown(path, 'weights')} {_data_options(sets)}",
            "```",
            "",
        ]
    )


def _autoencoder(model: "Elir") -> str:
    """The bundled one that the model was trained from, if its file says so."""
    said = model.metadata.get("autoencoder")
    return said if said in library.names("weights") else FIRST_AUTOENCODER


_NETWORKS = {"enc": "encoder", "mmse": "MMSE estimator", "fmir": "flow", "dec": "decoder"}


def _task_words(task: Task) -> str:
    words = {
        "denoise": "denoising of photographs (white Gaussian noise of sigma 25/255, clipped to 8 bits)",
        "blind_sr_x4": "blind super-resolution x4 of photographs (inputs from Real-ESRGAN's second-order degradation)",
        "inpaint": "inpainting of photographs (90 % of the pixels are lost)",
        "blind_face": "blind restoration of faces (GFPGAN's degradation)",
        "sr_x8_published": "super-resolution x8 of faces (noise of sigma 12.8/255 on the small picture)",
        "blind_sr_x4_published": "blind super-resolution x4 of photographs (Real-ESRGAN's degradation of first order)",
        "denoise_published": "denoising of faces (white Gaussian noise of sigma 89.6/255, clipped to 8 bits)",
        "blind_face_published": "blind restoration of faces (blur, reduction, noise, JPEG, as ELIR's authors trained)",
        "inpaint_published": "inpainting (90 % of the pixels lost, then noise of sigma 25.6/255)",
        "inpaint_square": "inpainting (a centred square of half the side lost, then noise of sigma 25.6/255)",
        "colorize": "colourisation of faces (grey, then noise of sigma 64/255)",
        "deblur": "deblurring of photographs (Gaussian blur of sigma 2 px, then noise of sigma 2/255)",
    }
    sr = f"super-resolution x{task_scale(task)} of photographs (inputs reduced by antialiased bicubic interpolation)"
    return words.get(task, sr)


def _facts(path: Path, model: "Elir", networks: dict[str, int]) -> list[tuple[str, str]]:
    config, trained = model.config, model.metadata.get("k_trained")
    each = ", ".join(f"{_NETWORKS[name]} {count / 1e6:.2f} M" for name, count in networks.items())
    return [
        ("parameters", f"{sum(networks.values()) / 1e6:.2f} M: {each}"),
        (
            "widths",
            f"hid {config.hid_channels}, n_mid {config.n_mid_blocks}, c_hid {config.c_hid}, n_rrdb {config.n_rrdb}",
        ),
        ("Euler steps K", f"{config.k_steps}{f', trained with {trained} segments' if trained else ''}"),
        ("source noise sigma_s", f"{config.sigma_s:g}"),
        ("file", f"{path.stat().st_size / 1e6:.1f} MB"),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


def _quality(result: Evaluation, training: str) -> list[str]:
    head = ("set", "n", "", *list(COLUMNS.values())[:-1], "colour shift /255", "NIQE")
    rows = [
        (r.dataset, str(s.n), result.called(who), *cells(s), _niqe(s.others["niqe"]))
        for r in result.results
        for who, s in r.scores.items()
    ]
    below = [r.lpips_below_input for r in result.results]
    against = [
        (r.dataset, "-" if share is None else f"{share:.1%}", f"{r.psnr_against_input_db:+.2f} dB")
        for r, share in zip(result.results, below, strict=True)
    ]
    given = task_input(result.task)
    return [
        "Figures are means over the pictures, after rounding to 8 bits. PSNR and SSIM are computed on RGB without",
        "cropping a border, PSNR-Y on BT.601 luma with a border of the scale's width cropped. Lower is better for",
        "LPIPS (AlexNet, v0.1) and for NIQE, which needs no clean picture. Colour shift is the mean absolute",
        "difference of the channel means. `autoencoder` is the bundled autoencoder's reconstruction of the *clean*",
        "picture: the best that its latents can hold. A model whose own decoder was trained further may be better.",
        f"Pictures are {_measured_on(result)}. The noise seed is {result.seed}.",
        "",
        *_table(head, rows),
        "",
        *_table(("set", f"LPIPS below {given}", f"PSNR against {given}"), against),
        "",
        *_plane(result, training),
    ]


def _niqe(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _plane(result: Evaluation, training: str) -> list[str]:
    """What the figures mean, and what they do not."""
    given = task_input(result.task)
    first = {"bicubic": "Bicubic enlargement is blurred, but close to the truth in every pixel."}.get(
        given, "The mean of all pictures that fit the input would be blurred, but closer to the truth in every pixel."
    )
    gains = [r.psnr_against_input_db for r in result.results]
    below = [100 * share for r in result.results if (share := r.lpips_below_input) is not None]
    falls = f", and its LPIPS falls by {_span(below, '{:.0f}')} %" if below else ""
    return [
        f"No model is best in both distortion (PSNR, SSIM) and perception (LPIPS). {first}",
        f"This model draws plausible texture, not the true one. Against {given},",
        f"its PSNR changes by {_span(gains, '{:+.2f}')} dB{falls}.",
        "Never take its details (faces, text, number plates) as evidence.",
        f"{_LPIPS_TRAINED[_lpips_in(training)]} Look at the pictures too.",
    ]


_LPIPS_TRAINED = {
    "yes": "The same LPIPS was a training loss, so part of that gain was optimised for.",
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
    path = real_path(path)
    return path.stem if path.parent == real_path(library.data_folder(kind)) else f"path/to/{path.name}"
