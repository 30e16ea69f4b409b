"""Which kind of YAML file a file is, by its keys; one that was given in the place of another kind is told where it
belongs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from compress.errors import InputError

FileKind = Literal["recipe", "calibration", "target", "train", "sweep"]

OWN_KEYS: dict[str, FileKind] = {
    "stages": "train",
    "recipes": "sweep",
    "source": "calibration",
    "pairs": "calibration",
    "runtime": "target",
    "extends": "recipe",
    "passes": "recipe",
    "export": "recipe",
    "goals": "recipe",
}
"""Keys that only one kind has."""

PLACES: dict[FileKind, str] = {
    "recipe": "a recipe: use `compress apply {name}`",
    "train": "a training recipe: use `compress train {name}`",
    "sweep": "a sweep: use `compress sweep {name}`",
    "target": "a deploy target: use `compress bench BUNDLE --target {name}`",
    "calibration": "a data set: name it under data in a recipe",
}


def own_kind(data: Mapping[str, Any]) -> FileKind | None:
    """The kind that a file's keys show; None where no key is of one kind alone."""
    return next((kind for key, kind in OWN_KEYS.items() if key in data), None)


def check_kind(wanted: FileKind, data: Mapping[str, Any], path: Path, name: str) -> None:
    """Raise InputError for a file of another kind, given as ``name``. One with a key of the wanted kind is mistaken in
    its other keys, which its schema tells.
    """
    kind = own_kind(data)
    if kind is not None and not any(OWN_KEYS.get(key) == wanted for key in data):
        raise InputError(f"{path}: is {PLACES[kind].format(name=name)}")
