"""Two sample pictures side by side: one that the model does well, and one that it does not."""

from dataclasses import dataclass

from compress.results.document import Results
from compress.results.quality import PictureScores, Quality

# What orders pictures, the measure of the model's purpose first -> (name, whether higher is better)
MEASURES = {"lpips": ("LPIPS", False), "psnr_db": ("PSNR", True), "niqe": ("NIQE", False)}


@dataclass(frozen=True)
class Shown:
    """One sample of the page. ``index``: its place in the gallery; ``labels``: its pictures to show, in order."""

    title: str
    index: int
    labels: tuple[str, ...]
    caption: str


def showcase(results: Results, artifact: str | None, samples: dict[str, list[str]]) -> list[Shown]:
    """The best and the worst of ``samples`` (name -> labels of its pictures) by the scores of ``artifact``.

    Nothing where pictures have no scores of their own, or fewer than two samples are shown.
    """
    quality = next((row for row in results.quality if row.artifact == artifact), None)
    if quality is None or artifact is None:
        return []
    measure = next((key for key in MEASURES if any(getattr(p, key) is not None for p in quality.pictures)), "")
    ordered = [picture.name for picture in _ordered(quality, measure)]
    known = sorted((name for name in samples if name in ordered), key=ordered.index)
    if len(known) < 2:
        return []
    figures = {picture.name: picture for picture in quality.pictures}
    chosen = (("What the model does well", known[0], "best"), ("What it does not do well", known[-1], "worst"))
    return [
        Shown(
            title,
            list(samples).index(name),
            tuple(label for label in ("degraded", artifact, "clean") if label in samples[name]),
            _caption(figures[name], measure, _place(ordered, name, end), quality),
        )
        for title, name, end in chosen
    ]


def _ordered(quality: Quality, measure: str) -> list[PictureScores]:
    """The pictures that have the measure, the best first."""
    if not measure:
        return []
    sign = -1 if MEASURES[measure][1] else 1
    known = [picture for picture in quality.pictures if getattr(picture, measure) is not None]
    return sorted(known, key=lambda picture: sign * getattr(picture, measure))


def _place(ordered: list[str], name: str, end: str) -> str:
    """``the best``, ``the 2nd best``, ``the 7th worst`` of all."""
    place = ordered.index(name) if end == "best" else len(ordered) - 1 - ordered.index(name)
    nth = {0: "", 1: "2nd ", 2: "3rd "}.get(place, f"{place + 1}th ")
    return f"the {nth}{end} of {len(ordered)} pictures"


def _caption(picture: PictureScores, measure: str, place: str, quality: Quality) -> str:
    title, higher = MEASURES[measure]
    digits = 2 if measure == "psnr_db" else 4
    unit = " dB" if measure == "psnr_db" else ""
    value, mean = getattr(picture, measure), getattr(quality, measure)
    average = "" if mean is None else f", {mean:.{digits}f} on average"
    better = "higher" if higher else "lower"
    return f"{picture.name}: {place} by {title} ({value:.{digits}f}{unit}{average}; {better} is better)"
