"""``results.json``, read and written."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress.errors import InputError, VerificationError
from compress.results.document import Results

RESULTS = "results.json"
MOST_BYTES = 256 << 20
"""No results are larger: those of a hundred artifacts and ten thousand pictures take 60 MB."""


def dump_json(document: dict[str, Any]) -> str:
    """JSON text; NaN and infinity have no place in it and raise ValueError."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def results_mistake(document: Any) -> str | None:
    """The first field with another type or out of range, as ``quality.0.psnr_db: ...``; None for right results."""
    try:
        Results.model_validate(document)
        return None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {' '.join(first['msg'].split())}"


def read_results(folder: Path) -> dict[str, Any]:
    """``results.json`` of a bundle, every field of the type and range of ``Results``.

    Raises InputError when there is none, VerificationError when it is damaged.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(f"{folder}: not a bundle, it has no {RESULTS}: give the folder that `compress apply` wrote")
    if path.stat().st_size > MOST_BYTES:
        raise VerificationError(f"{path}: has {path.stat().st_size} bytes, at most {MOST_BYTES}: do not use it")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise VerificationError(f"{path}: damaged ({error}): write the bundle again") from None
    if not isinstance(results, dict) or results.get("schema_version") != 1:
        raise VerificationError(f"{path}: not results of schema_version 1: write the bundle again")
    if mistake := results_mistake(results):
        raise VerificationError(f"{path}: damaged ({mistake}): write the bundle again")
    return results


def unavailable_targets(results: dict[str, Any]) -> list[str]:
    """One line for each target that could not be reached, or what it refused."""
    return list(dict.fromkeys(p["why"] for p in results["performance"] if p["evidence"] == "unavailable"))
