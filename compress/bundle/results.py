"""``results.json``, read and written."""

import json
from pathlib import Path
from typing import Any

from compress.errors import InputError, VerificationError

RESULTS = "results.json"

LONGEST = 10
"""Stages named at the end of a run."""


def dump_json(document: dict[str, Any]) -> str:
    """JSON text; NaN and infinity have no place in it and raise ValueError."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def read_results(folder: Path) -> dict[str, Any]:
    """``results.json`` of a bundle. Raises InputError when there is none, VerificationError when it is damaged."""
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(f"{folder}: not a bundle, it has no {RESULTS}: give the folder that `compress apply` wrote")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"{path}: damaged ({error}): write the bundle again") from None
    if not isinstance(results, dict) or results.get("schema_version") != 1:
        raise VerificationError(f"{path}: not results of schema_version 1: write the bundle again")
    return results


def unavailable_targets(results: dict[str, Any]) -> list[str]:
    """One line for each target that could not be reached, or what it refused."""
    return list(dict.fromkeys(p["why"] for p in results["performance"] if p["evidence"] == "unavailable"))
