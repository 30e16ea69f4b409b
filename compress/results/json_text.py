"""JSON from a stranger: numbers that this program, a database and other languages can hold, or a ValueError."""

import json
import math
from typing import Any

LEAST, MOST = -(2**63), 2**63 - 1
DEEPEST = 100
"""Levels of lists and mappings; ours have a dozen, and a recipe's at most 40. pydantic writes no more than 255."""


def parse_json(text: str | bytes) -> Any:
    """The document. Raises ValueError, one line, for what is none, NaN, an infinity, an integer beyond 64 bits, and
    what is nested deeper than ``DEEPEST``.
    """
    try:
        document = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not _is_flat_enough(document):
        raise ValueError("nested too deep")
    return document


def _is_flat_enough(document: Any) -> bool:
    level = [document]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def _bounded(text: str) -> int:
    if len(text) > len(str(LEAST)) or not LEAST <= (value := int(text)) <= MOST:
        raise ValueError(
            f"{text[:20]}... does not fit in 64 bits" if len(text) > 20 else f"{text} does not fit in 64 bits"
        )
    return value
