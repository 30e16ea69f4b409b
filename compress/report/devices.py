"""The page of several bundles: per device its frontier, a table of everything, and each artifact in detail."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from compress.errors import InputError
from compress.files import write_text
from compress.report.album import album
from compress.report.gaps import WHOLE_RUN, gaps
from compress.report.page import TEMPLATES, environment
from compress.report.pictures import Read
from compress.report.plot import LEAST_DB, VISIBLE_DB
from compress.report.text import visible
from compress.results.document import Results
from compress.results.measurement import Row

MEASURES = {
    "latency_p50_ms": ("Latency p50", "ms"), "bytes": ("Size", "MB"), "macs": ("Multiply-accumulates", "G"),
    "psnr_db": ("PSNR", "dB"), "lpips": ("LPIPS", ""),
}  # fmt: skip

SCALE = {"bytes": 1e6, "macs": 1e9}

DIGITS = {"latency_p50_ms": 1, "bytes": 2, "macs": 2, "psnr_db": 3, "lpips": 4}

LEAST = {"psnr_db": LEAST_DB["psnr"], "lpips": 0.02}
"""Spans of the axes of quality: a shorter one would blow up what cannot be seen."""

FIGURES = (
    *("bytes", "macs", "latency_p50_ms", "latency_p90_ms", "peak_rss_mb", "speedup_vs_fp32", "psnr_db", "ssim"),
    *("lpips", "color_shift", "psnr_drop_db", "fidelity_db"),
    *("picture_megapixels", "picture_megapixels_per_s", "picture_peak_rss_mb", "picture_joules_per_megapixel"),
    *("clip_megapixels_per_s", "clip_peak_rss_mb", "clip_joules_per_megapixel"),
)

FACTS = (
    *("format", "precision", "engine", "image_size", "image_shape", "k_steps"),
    *("artifact_sha256", "weights_sha256", "recipe_sha256", "calibration_sha256"),
)

TITLE = "Trade-offs per device"

NO_BUNDLE = "the machine that wrote this page does not have its bundle"

NO_SHARES = "its files do not keep the names of the networks, or an older version wrote its bundle: only ONNX has it"


MOST_LINES = 1_000_000
"""Most lines of stages and layers on a page; a hundred artifacts have some ten thousand."""

PageObject: TypeAlias = dict[str, Any]
"""An object of the JSON that the page reads."""

Lines: TypeAlias = list[list[Any]]
"""Cells of a table of the page."""


@dataclass(frozen=True)
class Source:
    """A bundle on this machine. ``read``: a file of it, by its path below it."""

    read: Read
    results: Results


def write_devices(rows: Sequence[Row], folders: Mapping[str, str], sources: Mapping[str, Source], out: Path) -> None:
    """Write the page, whole.

    ``rows``: of the ledger, newest first; ``folders``: a file's hash (``files_sha256``) -> the bundle that holds it,
    a key of ``sources``. Raises VerificationError for a picture that is missing or outside its bundle.
    """
    data = visible(page_data(rows, folders, sources))
    scripts = ("common.js", "elements.js", "viewer.js", "frontier.js", "detail.js", "devices.js")
    page = environment().get_template("devices.html").render(
        style="\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "devices.css")),
        script="\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in scripts),
        data=data,
        title=TITLE,
    )  # fmt: skip
    write_text(out, page)


def page_data(rows: Sequence[Row], folders: Mapping[str, str], sources: Mapping[str, Source]) -> PageObject:
    """Everything that the page shows, as its JSON holds it; what was not measured is null."""
    artifacts = _artifacts(rows, folders, sources)
    places = {entry["file"]: index for index, entry in enumerate(artifacts)}
    groups: dict[tuple[Any, ...], int] = {}
    for row in rows:
        groups.setdefault(_group(row), len(groups))
    names = _labels([dict(zip(GROUP, group, strict=True)) for group in groups])
    pictures = album([(s.read, s.results, _files(rows, folders, key)) for key, s in sources.items()])
    samples = [asdict(sample) for sample in pictures.samples]
    for sample in samples:
        for picture in sample["pictures"]:
            picture["artifact"] = places.get(picture["label"])
    return {
        "measures": {
            name: {"title": title, "unit": unit, "scale": SCALE.get(name, 1), "digits": DIGITS[name],
                   "higher": HIGHER_IS_BETTER.get(name, False), "least": LEAST.get(name, 0),
                   "unseen": VISIBLE_DB if name == "psnr_db" else 0}
            for name, (title, unit) in MEASURES.items()
        },
        "groups": names,
        "rows": [
            {**{name: getattr(row, name) for name in ("id", "created", "dataset", "protocol", *FIGURES)},
             "evidence": f"{row.evidence}, busy machine" if row.busy else row.evidence,
             "group": groups[_group(row)], "artifact": places[row.files_sha256]}
            for row in rows
        ],
        "artifacts": artifacts,
        "samples": samples,
        "images": pictures.images,
        "lossless": pictures.lossless,
        "note": pictures.note,
        "gaps": _every_gap(artifacts),
    }  # fmt: skip


def _group(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in GROUP)


def _labels(groups: Sequence[PageObject]) -> list[PageObject]:
    """Each group with ``device`` and ``title``; two with the same text get the beginning of their pictures' hash."""
    labelled = []
    for group in groups:
        threads = None if group["threads"] is None else f"{group['threads']} threads"
        known = (group["target"], group["cpu"], threads) if group["target"] else ()
        device = " · ".join(str(part) for part in known if part is not None) or "not timed"
        known = group["image_shape"] or group["image_size"]
        size = None if known is None else f"{known} px"
        about = " · ".join(str(part) for part in (group["task"], group["dataset"], size) if part is not None)
        labelled.append({**group, "device": device, "about": about})
    texts = Counter((group["device"], group["about"]) for group in labelled)
    for group in labelled:
        if texts[group["device"], group["about"]] > 1:
            group["about"] += f" · pictures {str(group['data_sha256'])[:8]}"
    return labelled


def _artifacts(rows: Sequence[Row], folders: Mapping[str, str], sources: Mapping[str, Source]) -> list[PageObject]:
    """One entry a file, from its newest row, with what its bundle tells of it."""
    newest: dict[str, Row] = {}
    for row in rows:
        newest.setdefault(row.files_sha256, row)
    names, details = _names(list(newest.values())), {key: _detail_of(source.results) for key, source in sources.items()}
    entries = []
    for (file, row), name in zip(newest.items(), names, strict=True):
        detail = details.get(folders.get(file, ""))
        facts = {key: value for key in FACTS if (value := getattr(row, key)) is not None}
        entries.append({
            "file": file, "name": name, "id": row.artifact, "recipe": row.recipe, "task": row.task,
            "created": row.created, "precision": row.precision, "format": row.format,
            "facts": {key: str(value) for key, value in {**facts, **row.versions}.items()},
            "bundle": Path(row.bundle).name if row.bundle else None,
            **(detail.of(row) if detail else NO_DETAIL),
        })  # fmt: skip
    _check_room(entries)
    return entries


def _names(rows: Sequence[Row]) -> list[str]:
    """The shortest names that tell all artifacts apart: id, with recipe, with the day, with the time, with the hash."""
    parts = [(row.artifact, row.recipe, row.created[:10], row.created[11:16], row.files_sha256[:8]) for row in rows]
    for length in range(1, 6):
        names = [" · ".join(part[:length]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


@dataclass(frozen=True)
class Detail:
    """Details of a bundle, by precision or artifact: errors, where bytes and milliseconds go, what was not measured and
    why.

    Sorted once: a stranger's results may have a hundred thousand lines of each, and a thousand artifacts.
    """

    stages: Mapping[str, Lines]
    layers: Lines
    shares: Mapping[str, Lines]
    gaps: Mapping[str, Lines]

    def of(self, row: Row) -> PageObject:
        """The details of the row's artifact."""
        id, precision = row.artifact, row.precision
        stages, shares = self.stages.get(precision, []), self.shares.get(id, [])
        own = [*self.gaps.get(WHOLE_RUN, []), *self.gaps.get(id, [])]
        own += [] if shares else [["bytes and milliseconds by stage", NO_SHARES]]
        if precision == "fp32":
            own.append(["error by stage and layer", "fp32 is the reference for the others"])
        elif not stages:
            own.append(
                ["error by stage and layer", f"nothing recorded for {precision}: only quantized models have errors"]
            )
        return {"stages": stages, "layers": self.layers if stages else [], "shares": shares, "gaps": own}


def _detail_of(results: Results) -> Detail:
    stages, shares, missing = defaultdict(list), defaultdict(list), defaultdict(list)
    for error in results.stages:
        stages[error.precision].append([error.stage, error.mode, error.sqnr_db])
    for share in results.shares:
        shares[share.artifact].append([share.stage, share.bytes, share.ms])
    for gap in gaps(results):
        for subject in gap.subject.split(", "):
            missing[subject].append([gap.what, gap.why])
    return Detail(stages, [[e.layer, e.stage, e.sqnr_db] for e in results.layers], shares, missing)


NO_DETAIL: PageObject = {"stages": [], "layers": [], "shares": []}
NO_DETAIL["gaps"] = [["pictures, error by stage and layer, bytes and milliseconds by stage", NO_BUNDLE]]


def _check_room(artifacts: Sequence[PageObject]) -> None:
    """Each artifact is shown with its bundle's layers: raise InputError where a page would take gigabytes of them."""
    lines = sum(len(artifact[part]) for artifact in artifacts for part in NO_DETAIL)
    if lines > MOST_LINES:
        raise InputError(f"report: {lines} lines of stages and layers, a page holds {MOST_LINES}: give fewer bundles")


def _files(rows: Sequence[Row], folders: Mapping[str, str], folder: str) -> dict[str, str]:
    return {row.artifact: row.files_sha256 for row in rows if folders.get(row.files_sha256) == folder}


def _every_gap(artifacts: Sequence[Mapping[str, Any]]) -> list[PageObject]:
    """Equal gaps of several artifacts in one line."""
    equal: dict[tuple[str, str], list[int]] = {}
    for index, artifact in enumerate(artifacts):
        for what, why in artifact["gaps"]:
            equal.setdefault((what, why), []).append(index)
    return [{"what": what, "why": why, "artifacts": of} for (what, why), of in equal.items()]


HIGHER_IS_BETTER = {"psnr_db": True, "lpips": False}

GROUP = ("target", "task", "dataset", "image_size", "image_shape", "cpu", "threads", "data_sha256")
"""Only what was measured on one device, one task, the same pictures and one size can be compared."""
