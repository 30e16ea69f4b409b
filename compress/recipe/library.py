"""Names and paths -> files: the only module that knows the folders of recipes, sets, targets and weights.

In a checkout the folders stand beside the package; in a wheel they are shipped inside it, as ``compress/_data``.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from compress.errors import InputError
from compress.files import TooLong, read_plain
from compress.hub import hub_file, is_on_hub
from compress.recipe import yaml_nodes
from compress.recipe.published import to_fill_in
from compress.recipe.yaml_nodes import KeyPath
from compress.surroundings import expanded

Kind = Literal["recipes", "calibration", "targets", "weights"]

PACKAGE = Path(__file__).parents[1]
MAX_BYTES = 1_000_000
MODEL = "elir_"
"""How the names of built-in restorers begin; the other weights are parts of measures and of a training."""
_FOLDERS = {"recipes": "recipes", "calibration": "calibration", "targets": "deploy_targets"}
_ONE = {"recipes": "recipe", "calibration": "calibration set", "targets": "deploy target", "weights": "weights file"}


def data_folder(kind: Kind) -> Path:
    """The folder that holds the built-in files of ``kind``."""
    if kind == "weights":
        return PACKAGE / "weights"
    shipped = PACKAGE / "_data" / _FOLDERS[kind]
    return shipped if shipped.is_dir() else PACKAGE.parent / _FOLDERS[kind]


def shipped(name: str) -> Path:
    """A file that stands beside the package in a checkout: LICENSE or NOTICE."""
    inside = PACKAGE / "_data" / name
    return inside if inside.is_file() else PACKAGE.parent / name


def _suffix(kind: Kind) -> str:
    return ".safetensors" if kind == "weights" else ".yaml"


def names(kind: Kind) -> list[str]:
    """Built-in names, sorted: the folder's listing is the vocabulary."""
    return sorted(path.stem for path in data_folder(kind).glob(f"*{_suffix(kind)}"))


def describe(kind: Kind) -> list[tuple[str, str]]:
    """Name and description of every built-in file of ``kind``."""
    files = [(name, load_yaml(data_folder(kind) / f"{name}.yaml").data) for name in names(kind)]
    return [(name, str(data.get("description", ""))) for name, data in files]


def is_path(name_or_path: str) -> bool:
    """True for a string with a separator or a suffix; everything else is a built-in name."""
    return "/" in name_or_path or "\\" in name_or_path or Path(name_or_path).suffix != ""


def find(kind: Kind, name_or_path: str) -> Path:
    """The file of a built-in name, the path itself, or the local copy of a file on the Hub: a string never means two.

    A folder is found too where ``kind`` is calibration (a folder of pictures).
    Raises InputError, with the nearest valid name, when there is none.
    """
    if is_on_hub(name_or_path):
        return hub_file(name_or_path, [".safetensors"] if kind == "weights" else [".yaml", ".yml"])
    if is_path(name_or_path):
        return _existing(kind, expanded(name_or_path))
    path = data_folder(kind) / f"{name_or_path}{_suffix(kind)}"
    if path.is_file():
        return path
    hint = f": for a file or folder here, write ./{name_or_path}" if Path(name_or_path).exists() else ""
    valid = [name for name in names(kind) if kind != "weights" or name.startswith(MODEL)]
    raise InputError(f"{name_or_path!r}: unknown {_ONE[kind]}{nearest(name_or_path, valid)}{hint}")


def _existing(kind: Kind, path: Path) -> Path:
    if path.is_file() or (kind == "calibration" and path.is_dir()):
        return path
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a {_ONE[kind]}: name a file in it")
    if kind == "weights" and (message := to_fill_in(path)):
        raise InputError(message)
    by_name = f", or use the built-in one by its name, {path.stem}" if path.stem in names(kind) else ""
    looked = "" if path.is_absolute() else f" (looked for {path.absolute()})"
    raise InputError(f"{path}: no such {_ONE[kind]}{looked}: check the path{by_name}")


def nearest(given: str, valid: Iterable[str]) -> str:
    """What an error message offers: ``, did you mean x? (valid: x, y)``."""
    valid = list(valid)
    return f"{did_you_mean(given, valid)} ({'valid: ' + ', '.join(valid) if valid else 'there is none'})"


def did_you_mean(given: str, valid: Iterable[str]) -> str:
    """``, did you mean x?``, or nothing when no valid name is near."""
    close = difflib.get_close_matches(given, list(valid), n=1, cutoff=0.5)
    return f", did you mean {close[0]}?" if close else ""


# --- YAML -----------------------------------------------------------------------------------------------------


@dataclass
class Document:
    """A YAML file's mapping, and where each of its keys and items stands."""

    path: Path
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)


def load_yaml(path: Path) -> Document:
    """Load a YAML mapping, safely: plain data only, bounded size and depth, no duplicate keys, no aliases.

    Raises InputError, one line with file and line, for anything else.
    """
    try:
        data = read_plain(path, MAX_BYTES)
    except TooLong:
        raise InputError(f"{path}: more than the {MAX_BYTES} bytes that a YAML file may have: shorten it") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({why}): check the path and its rights") from None
    return read_document(path, data)


def read_document(path: Path, data: bytes) -> Document:
    """What ``load_yaml`` makes of the bytes of ``path``; errors as there."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a YAML file (not UTF-8 text): check the path") from None
    lines: dict[KeyPath, int] = {}
    data = _parse(text, str(path), lines)
    if not isinstance(data, dict):
        raise InputError(f"{path}:1: must hold a mapping (key: value), got {_kind_of(data)}: begin with version: 1")
    return Document(path, data, lines)


def parse_value(text: str, where: str) -> Any:
    """The YAML value of one setting (``3``, ``[a, b]``, ``nncf``), by the same rules as a file's, but for comments:
    nobody types one there, and ``photo #1`` is a text.
    """
    if re.search(r"(^|\s)#", text) and text.strip()[:1] not in ("'", '"', "[", "{"):
        return text.strip()
    return _parse(text, where, {})


def _parse(text: str, where: str, lines: dict[KeyPath, int]) -> Any:
    try:
        return yaml_nodes.parse(text, lines)
    except yaml_nodes.Refusal as error:
        raise InputError(f"{where}:{error.line}: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"{where}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError, KeyError, OverflowError) as error:
        # KeyError: PyYAML's, of `!!bool maybe`.
        why = " ".join(str(error).split())
        raise InputError(f"{where}: not valid YAML: {why}") from None


def _kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list) else "a single value"
