"""The header of a checkpoint, read without torch."""

import math
from pathlib import Path
from typing import Any

from compress.errors import VerificationError
from compress.recipe.library import data_folder, names
from compress.results.json_text import parse_json

MAX_HEADER = 100 * 2**20  # bytes, the format's own limit
MOST_SIDES, MOST_NUMBERS = 8, 2**53  # of a tensor


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER:
                raise ValueError(f"header of {length} bytes")
            header = parse_json(file.read(length))
        about = header.get("__metadata__", {}) if isinstance(header, dict) else None
        if not isinstance(about, dict):
            raise ValueError("no mapping")
        if not all(isinstance(value, str) for value in about.values()):
            raise ValueError("metadata that is no text")
        return header
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: object) -> VerificationError:
    return VerificationError(f"{path}: refused, damaged safetensors ({error}): get an undamaged file")


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file. Raises VerificationError for a damaged one."""
    metadata = _header(path).get("__metadata__", {})
    for key, kind in (("k_steps", int), ("sigma_s", float)):
        try:
            known = math.isfinite(kind(metadata.get(key, 0)))
        except (ValueError, OverflowError):  # no number; beyond a float's range
            known = False
        if not known:
            given = f"metadata {key} is {metadata[key]!r}"
            raise VerificationError(f"{path}: {given}, not a number: fix the file") from None
    return metadata


def models() -> list[tuple[str, str]]:
    """Name and description of every built-in model."""
    folder = data_folder("weights")
    return [
        (
            name,
            f"{about['task']}, K = {about['k_steps']}, {(folder / f'{name}.safetensors').stat().st_size / 1e6:.1f} MB",
        )
        for name, about in _built_in()
    ]


def student_for(task: str | None, k_steps: int) -> tuple[str, int] | None:
    """The built-in model for ``task`` with the fewest Euler steps, and their number; None unless below ``k_steps``."""
    known = [(int(about["k_steps"]), name) for name, about in _built_in() if about["task"] == task]
    fewest, name = min(known, default=(k_steps, ""))
    return (name, fewest) if fewest < k_steps else None


def _built_in() -> list[tuple[str, dict[str, str]]]:
    """Name and metadata of every built-in model."""
    folder = data_folder("weights")
    known = [(name, read_metadata(folder / f"{name}.safetensors")) for name in names("weights")]
    return [(name, about) for name, about in known if about.get("format") == "elir"]


def count_values(path: Path) -> dict[str, int]:
    """Numbers in each tensor of a checkpoint, with the decoder that it shares, by name.

    Exact for safetensors; else all under "", by the file's size as float32. Raises VerificationError for a damaged
    safetensors file.
    """
    if path.suffix != ".safetensors":
        return {"": path.stat().st_size // 4}
    header = _header(path)
    owner = path.parent / Path(str(header.get("__metadata__", {}).get("decoder_of", ""))).name
    shared = _count(owner, "dec.") if owner.is_file() else {}
    return _count(path, "") | shared


def _count(path: Path, prefix: str) -> dict[str, int]:
    try:
        return {
            name: _product(entry["shape"])
            for name, entry in _header(path).items()
            if name != "__metadata__" and name.startswith(prefix)
        }
    except (TypeError, KeyError, ValueError):
        raise _damaged(path, "a tensor without a shape") from None


def _product(shape: list[int]) -> int:
    """Raises ValueError for what is no shape, or of more numbers than there are bytes on a disk."""
    fits = len(shape) <= MOST_SIDES and all(type(side) is int and side >= 0 for side in shape)
    if not fits or (count := math.prod(shape)) > MOST_NUMBERS:
        raise ValueError("no shape")
    return count
