"""`compress report`: bundles, or what the ledger holds, as one page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.bundle.open import open_bundle
from compress.errors import CompressError, InputError
from compress.files import check_output
from compress.ledger.record import bundle_measurements
from compress.report import TITLE, Source, write_devices

if TYPE_CHECKING:
    from compress.ledger import Filter
    from compress.results.measurement import Row


@dataclass(frozen=True)
class PageSummary:
    """What the page holds. ``absent``: artifacts of the ledger whose bundle this machine does not have."""

    path: Path
    artifacts: int
    devices: int
    bundles: int
    absent: int

    def __str__(self) -> str:
        held = (
            _counted(self.artifacts, "artifact"),
            _counted(self.devices, "device"),
            _counted(self.bundles, "bundle"),
        )
        text = f"{self.path}: {', '.join(held)}, {self.path.stat().st_size / 1e6:.2f} MB"
        return (
            f"{text}; bundles of {_counted(self.absent, 'artifact')} are not here: no pictures" if self.absent else text
        )


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def report(bundles: Sequence[Path], which: "Filter", limit: int | None, out: Path) -> PageSummary:
    """Write ``out``: the given bundles, or else the ledger's newest ``limit`` artifacts that ``which`` lets through.

    Of one file that was measured again on the same device and pictures, the newest row counts.
    Raises InputError when both bundles and a filter are given, or there is nothing to show.
    """
    if bundles and any(asdict(which).values()):
        raise InputError("report: bundles and a filter of the ledger: give one of the two")
    _check_page(out)
    rows, folders = _of_bundles(bundles) if bundles else _of_ledger(which, limit)
    if not rows:
        raise InputError("report: the ledger has no such rows: see `compress ledger ls`, or give bundles")
    opened = {folder: open_bundle(Path(folder)) for folder in dict.fromkeys(folders.values())}
    sources = {folder: Source(bundle.read, bundle.results()) for folder, bundle in opened.items()}
    write_devices(rows, folders, sources, out)
    files = {row.files_sha256 for row in rows}
    devices = {(row.target, row.cpu, row.threads) for row in rows if row.target}
    return PageSummary(out, len(files), len(devices), len(sources), len(files - set(folders)))


def _check_page(path: Path) -> None:
    """Raise InputError unless ``path`` can be written, and what is there is an earlier page."""
    check_output(path)
    if path.exists():
        with path.open("rb") as file:
            begins = file.read(2**12)
        if f"<title>{TITLE}</title>".encode() not in begins:
            raise InputError(f"{path}: is there, and no earlier page of this command: name another file with -o")


def _of_bundles(bundles: Sequence[Path]) -> "tuple[list[Row], dict[str, str]]":
    from compress.ledger.pareto import newest

    every = [m.row() for folder in bundles for m in bundle_measurements(folder)]
    rows = newest(sorted(every, key=lambda row: (row.created, row.id), reverse=True))
    return rows, {row.files_sha256: str(row.bundle) for row in reversed(rows)}


def _of_ledger(which: "Filter", limit: int | None) -> "tuple[list[Row], dict[str, str]]":
    """Rows, and the folder of each file whose bundle lies on this machine and still holds that very file."""
    from compress.ledger import open_ledger
    from compress.report.devices import GROUP

    opened = open_ledger()
    newest_of: dict[tuple[object, ...], str] = {}
    for id, *rest in opened.columns(("id", *GROUP, "files_sha256"), which):
        newest_of.setdefault(tuple(rest), id)
    files = set(list(dict.fromkeys(kind[-1] for kind in newest_of))[:limit])
    rows = opened.by_ids(id for kind, id in newest_of.items() if kind[-1] in files)
    held = {folder: _files(folder) for folder in dict.fromkeys(row.bundle for row in rows) if folder}
    places = {row.files_sha256: row.bundle for row in reversed(rows) if row.bundle}
    return rows, {file: folder for file, folder in places.items() if file in held[folder]}


def _files(folder: str) -> set[str]:
    try:
        return {m.files_sha256 for m in bundle_measurements(Path(folder))}
    except (CompressError, OSError):  # a row that was imported may name any place, and in any length
        return set()
