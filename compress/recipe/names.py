"""The grammar of names that come from a file and become part of a path, a host or a version, here or on a device."""

import re
from typing import Annotated

from pydantic import Field

_PART = r"\.?[A-Za-z0-9_][A-Za-z0-9_.-]*"
_PLAIN = "letters, digits, '.', '_' and '-'"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_PICTURE = r"^[^\p{C}\p{Zl}\p{Zp}/\\.-][^\p{C}\p{Zl}\p{Zp}/\\]*$"
_FOLDER = rf"^(~/|/)?{_PART}(/{_PART})*$"
_LOCK = rf"^/({_PART}/)*elir-compress[A-Za-z0-9_.-]*\.lock$"
_PYTHON = rf"^(/({_PART}/)*)?py[A-Za-z0-9_.-]*$"
_HOST = r"^[A-Za-z0-9_][A-Za-z0-9_.@:%-]*$"
_VERSION = r"^\d+(\.\d+)*$"
_BROWSER = r"^([A-Za-z0-9][A-Za-z0-9_.-]*-)?(chrom|microsoft-edge|msedge|brave|vivaldi|opera)[A-Za-z0-9_.-]*$"

GRAMMARS = {
    _NAME: f"must be {_PLAIN}, beginning with a letter or digit",
    _PICTURE: "must be one part of a path without control characters, beginning neither with '.' nor '-'",
    _FOLDER: f"must be a path whose parts are {_PLAIN}, without '..': for instance ~/elir or /data/elir",
    _LOCK: "must be an absolute path that ends in elir-compress.lock, or in elir-compress-NAME.lock",
    _PYTHON: "must be python3, or the absolute path of a Python",
    _HOST: "must be user@name, or a Host of ~/.ssh/config",
    _VERSION: "must be numbers with points between, such as 1.18",
    _BROWSER: "must be the name of a Chromium, such as chromium or google-chrome; COMPRESS_BROWSER may hold a path",
}
"""What each pattern asks for, in words."""

Name = Annotated[str, Field(pattern=_NAME, max_length=100)]
"""Name of a recipe, set, target or artifact: one part of a path, never hidden, never an option, never ``..``."""

PictureName = Annotated[str, Field(pattern=_PICTURE, max_length=255)]
"""Name of a picture: letters of any language, as ``compress.data.names.file_name`` writes them; also one part of a
path.
"""

Folder = Annotated[str, Field(pattern=_FOLDER, max_length=1000)]
"""A folder on a device: absolute, below its user's home (``~/``), or relative to that; it never climbs."""

Lock = Annotated[str, Field(pattern=_LOCK, max_length=1000)]
"""A lock on a device. Its file is emptied and deleted: were any other name allowed, so would be any file."""

Python = Annotated[str, Field(pattern=_PYTHON, max_length=1000)]
"""A Python on a device, by name or by absolute path."""

Host = Annotated[str, Field(pattern=_HOST, max_length=255)]
"""What ssh takes for a host and not for an option."""

Version = Annotated[str, Field(pattern=_VERSION, max_length=50)]
"""A release."""

Browser = Annotated[str, Field(pattern=_BROWSER, max_length=100)]
"""A browser that the system finds by its name: by a path, a target from a stranger would start any program."""


def names_a_path(key: str, value: str) -> bool:
    """Whether a runtime's setting says where files are."""
    words = set(re.split(r"[^a-z]+", key.lower()))
    return bool(words & {"dir", "directory", "folder", "path", "file", "filename"}) or "/" in value or "\\" in value
