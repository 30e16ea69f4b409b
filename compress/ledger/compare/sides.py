"""What two sides of a comparison are: bundles, artifacts in bundles, rows of the ledger; all as the ledger's rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import InputError
from compress.files import real_path
from compress.ledger.record import bundle_measurements
from compress.results.measurement import Row

MOST_PAIRS = 10_000
DEPTH = 4  # folders above an artifact where its bundle lies
COMPARABLE = ("task", "data_sha256", "image_size", "image_shape")


@dataclass(frozen=True)
class Pair:
    """The same kind of measurement on both sides."""

    a: Row
    b: Row

    @property
    def label(self) -> str:
        """Artifact (both, where they differ), target and data set."""
        names = dict.fromkeys((self.a.artifact, self.b.artifact))
        return " · ".join([" -> ".join(names), *filter(None, (self.b.target, self.b.dataset))])


def side(source: str) -> list[Row]:
    """Rows of a bundle's folder, of an artifact in a bundle, or the ledger's row of this id.

    Raises InputError for anything else.
    """
    path = Path(source)
    if path.is_dir():
        return _bundle(path)
    if path.is_file():
        return _artifact(path)
    if "/" in source or path.suffix:
        raise InputError(f"{source}: no such bundle or artifact: check the path")
    from compress.ledger import open_ledger

    return [open_ledger().row(source)]


def _bundle(folder: Path) -> list[Row]:
    return [measurement.row() for measurement in bundle_measurements(folder)]


def _artifact(path: Path) -> list[Row]:
    from compress.bundle.manifest import MANIFEST, read_manifest

    entry = real_path(path)
    # As it was given first: in a cache of the Hugging Face hub the file is a link out of its bundle.
    above = (*path.absolute().parents[:DEPTH], *entry.parents[:DEPTH])
    folder = next((f for f in above if (f / MANIFEST).is_file()), None)
    if folder is None:
        raise InputError(f"{path}: lies in no bundle, so nothing measured it: give an artifact that `apply` wrote")
    artifacts = read_manifest(folder).artifacts
    ids = {a.id for a in artifacts if entry in {real_path(folder / graph) for graph in a.graphs}}
    if not ids:
        raise InputError(f"{path}: is not an artifact of {folder}: give the entry file that its manifest names")
    return [row for row in _bundle(folder) if row.artifact in ids]


def pairs(a: Sequence[Row], b: Sequence[Row]) -> list[Pair]:
    """What can be held against each other: the same artifact id, or the only one of each side, on the same pictures.

    On the same target where both have one in common. Raises InputError when nothing can be compared.
    """
    single = all(len({row.artifact for row in rows}) == 1 for rows in (a, b))
    fields = COMPARABLE if single else (*COMPARABLE, "artifact")
    of_a, of_b = _by_kind(a, fields), _by_kind(b, fields)
    both = [(rows, of_b[kind]) for kind, rows in of_a.items() if kind in of_b]
    if (count := sum(len(rows) * len(others) for rows, others in both)) > MOST_PAIRS:
        raise InputError(f"{count} pairs of measurements to compare, at most {MOST_PAIRS}: name one artifact of each")
    paired = [pair for rows, others in both for pair in _paired(rows, others)]
    if not paired:
        raise InputError(_why_not(a, b))
    return paired


def _by_kind(rows: Sequence[Row], names: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    kinds: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        kinds.setdefault(tuple(getattr(row, name) for name in names), []).append(row)
    return kinds


def _paired(a: list[Row], b: list[Row]) -> list[Pair]:
    every = [Pair(x, y) for x in a for y in b]
    return [pair for pair in every if pair.a.target == pair.b.target] or every


def _why_not(a: Sequence[Row], b: Sequence[Row]) -> str:
    left, right = (", ".join(sorted({f"{r.artifact} on {r.dataset} at {r.size_text}" for r in s})) for s in (a, b))
    return f"nothing to compare: A holds {left}; B holds {right}: the artifact, task, pictures and size must agree"
