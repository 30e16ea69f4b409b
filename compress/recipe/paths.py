"""Relative paths in YAML files start at the file's own folder; those of bundled recipes, at the current one.

A person's data is not in the folder of a bundled recipe. What ``--set`` gives is a person's too, and starts where it
is typed.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compress.files import real_path
from compress.hub import is_on_hub
from compress.recipe.library import data_folder, is_path
from compress.recipe.validation import Mistake, Source

Move = Callable[[str], str]
# Where a recipe or a sweep names files and folders; "*": every item.
_NAMES: tuple[tuple[str, ...], ...] = (
    ("model", "weights"), ("model", "autoencoder"), ("data", "calibration"), ("data", "validation"),
    ("data", "validation", "*"), ("targets", "*"), ("recipes", "*"), ("passes", "*", "distill", "student"),
    ("set", "model.weights"), ("set", "data.calibration"), ("set", "data.validation"),
)  # fmt: skip
_FOLDERS: tuple[tuple[str, ...], ...] = (
    ("data", "train", "*"),
    ("passes", "*", "distill", "data", "*"),
)  # paths, whatever they look like


def from_file(source: Source) -> None:
    """Make the relative paths of ``source`` start at its file's folder instead of the current one.

    Raises InputError, one line each, for what is only there as seen from the current folder, as older releases took it.
    """
    folder = source.path.parent
    if real_path(folder) == real_path(data_folder("recipes")) or str(folder) == ".":
        return
    mistakes: list[Mistake] = []

    def move(text: str) -> str:
        moved = os.path.join(folder, text)
        if not os.path.exists(moved) and os.path.exists(text):
            should = relative_to(folder, text)
            mistakes.append(
                (_at(source, text), f"{text}: is not in this file's folder, where relative paths start: write {should}")
            )
        return moved

    move_paths(source.data, move)
    source.refuse(mistakes)


def relative_to(folder: Path, text: str) -> str:
    """The path ``text``, as seen from the current folder, as seen from ``folder``."""
    try:
        moved = os.path.relpath(text, folder)
    except ValueError:  # another drive
        return os.path.abspath(text)
    return moved if is_path(moved) else f"./{moved}"


def move_paths(data: Any, move: Move) -> None:
    """Replace every relative path in a recipe's or a sweep's plain ``data`` by what ``move`` makes of it."""
    for at in _NAMES:
        _replace(data, at, lambda text: move(text) if _is_relative(text) and is_path(text) else text)
    for at in _FOLDERS:
        _replace(data, at, lambda text: move(text) if _is_relative(text) else text)


def _is_relative(text: str) -> bool:
    return not (os.path.isabs(text) or text.startswith("~") or is_on_hub(text))


def _replace(holder: Any, at: tuple[str, ...], move: Move) -> None:
    first, *rest = at
    keys: list[Any] = []
    if first == "*" and isinstance(holder, list):
        keys = list(range(len(holder)))
    elif isinstance(holder, dict) and first in holder:
        keys = [first]
    for key in keys:
        if rest:
            _replace(holder[key], tuple(rest), move)
        elif isinstance(holder[key], str) and holder[key]:
            holder[key] = move(holder[key])


def _at(source: Source, text: str) -> tuple[str | int, ...]:
    """The key that holds ``text``."""

    def search(value: Any, at: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
        if value == text:
            return at
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return next((path for key, inner in items if (path := search(inner, (*at, key))) is not None), None)

    return search(source.data, ()) or ()
