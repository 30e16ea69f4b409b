"""Size on disk of an artifact: all of its files."""

from collections.abc import Iterable
from pathlib import Path

from compress.errors import InputError, VerificationError


def artifact_files(entry: Path) -> list[Path]:
    """The entry file and what belongs to it: an IR's .bin, an ONNX model's external data.

    Raises InputError when the entry is missing, VerificationError when an IR lacks its .bin.
    """
    if not entry.is_file():
        raise InputError(f"{entry}: no such artifact: check the path")
    if entry.suffix == ".xml":
        weights = entry.with_suffix(".bin")
        if not weights.is_file():
            raise VerificationError(f"{entry}: its weights, {weights.name}, are not beside it: export it again")
        return [entry, weights]
    data = entry.with_name(f"{entry.name}.data")
    return [entry, data] if data.is_file() else [entry]


def artifact_bytes(entry: Path) -> int:
    """Bytes of all files of an artifact; errors as ``artifact_files``."""
    return total_bytes(artifact_files(entry))


def total_bytes(files: Iterable[Path]) -> int:
    """Bytes of ``files`` together."""
    return sum(path.stat().st_size for path in files)


def size_ratio(entry: Path, baseline: Path) -> float:
    """Bytes of ``entry`` as a share of ``baseline``'s, in (0, inf)."""
    return artifact_bytes(entry) / artifact_bytes(baseline)
