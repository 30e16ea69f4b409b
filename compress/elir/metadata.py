"""The header of a checkpoint, read without torch."""

import math
from pathlib import Path

from compress.errors import VerificationError
from compress.recipe.library import data_folder, names
from compress.text import one_line


def _header(path: Path) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Metadata and the shape of each tensor. Raises VerificationError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return file.metadata() or {}, {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: object) -> VerificationError:
    """The error for a safetensors file that cannot be read."""
    return VerificationError(f"{path}: refused, damaged safetensors ({one_line(str(error))}): get an undamaged file")


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file. Raises VerificationError for a damaged one."""
    metadata, _ = _header(path)
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
    """Numbers in each tensor of a safetensors checkpoint, with the decoder that it shares, by name.

    Raises VerificationError for a damaged file.
    """
    metadata, shapes = _header(path)
    owner = path.parent / Path(metadata.get("decoder_of", "")).name
    decoder = _header(owner)[1] if owner.is_file() else {}
    shared = {name: shape for name, shape in decoder.items() if name.startswith("dec.")}
    return {name: math.prod(shape) for name, shape in (shapes | shared).items()}
