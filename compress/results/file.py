"""``results.json``, read and written."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress.errors import InputError, VerificationError
from compress.files import read_plain
from compress.results.document import Results
from compress.results.json_text import parse_json
from compress.results.section import first_mistake

RESULTS = "results.json"
MOST_BYTES = 256 << 20
"""No results are larger: those of a hundred artifacts and ten thousand pictures take 60 MB."""


def dump_json(document: dict[str, Any]) -> str:
    """JSON text; NaN and infinity have no place in it and raise ValueError."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def read_results(folder: Path) -> Results:
    """``results.json`` of a bundle, every field of the type and range of ``Results``.

    Raises InputError when there is none, VerificationError when it is damaged.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(f"{folder}: not a bundle, it has no {RESULTS}: give the folder that `compress apply` wrote")
    try:
        text = read_plain(path, MOST_BYTES)
    except ValueError as error:
        raise VerificationError(f"{path}: {error}: do not use it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path and its rights") from None
    return parse_results(text, path)


def parse_results(text: bytes, path: Path) -> Results:
    """What ``read_results`` makes of the bytes of ``path``. Raises VerificationError when they are damaged."""
    try:
        document = parse_json(text)
    except ValueError as error:
        raise VerificationError(f"{path}: damaged ({error}): write the bundle again") from None
    if not isinstance(document, dict) or document.get("schema_version") != 1:
        raise VerificationError(f"{path}: not results of schema_version 1: write the bundle again")
    try:
        return Results.model_validate(document)
    except ValidationError as error:
        raise VerificationError(f"{path}: damaged ({first_mistake(error)}): write the bundle again") from None
