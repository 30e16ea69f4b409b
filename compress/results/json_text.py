"""JSON from a stranger: numbers that this program, a database and other languages can hold, or a ValueError."""

import json
import math
from typing import Any

LEAST, MOST = -(2**63), 2**63 - 1


def parse_json(text: str | bytes) -> Any:
    """The document. Raises ValueError, one line, for what is none, NaN, an infinity, an integer beyond 64 bits, and
    what is nested too deep to be read.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def _bounded(text: str) -> int:
    if len(text) > len(str(LEAST)) or not LEAST <= (value := int(text)) <= MOST:
        raise ValueError(
            f"{text[:20]}... does not fit in 64 bits" if len(text) > 20 else f"{text} does not fit in 64 bits"
        )
    return value
