"""Figures as text. What is null, or no number, is a dash: never a zero."""

import math
from collections.abc import Mapping
from typing import Any

NONE = "-"
AT_LEAST = ("fidelity", "speedup", "parity", "delegated", "instructions", "estimated_speedup")
RATIOS = ("speedup", "instructions", "estimated_speedup")
DIGITS = {"lpips": 4, "ssim": 4, "fidelity": 1, "parity": 1, "psnr": 3, "color": 2, "breaches": 0}
DIGITS |= dict.fromkeys(RATIOS, 2)


def get(value: Any, *keys: str) -> Any:
    """Nested look-up; None where a key is missing or its parent is no mapping."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def figure(value: Any) -> float | None:
    """``value`` as a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def number(value: Any, digits: int, *, sign: bool = False, unit: str = "") -> str:
    """``value`` rounded to ``digits`` decimals, with its sign where asked for, and a unit behind it."""
    known = figure(value)
    if known is None:
        return NONE
    text = f"{known:+.{digits}f}" if sign else f"{known:.{digits}f}"
    return (text.replace("-", "+" if sign else "", 1) if float(text) == 0 else text) + unit


def megabytes(size: Any, digits: int = 2) -> str:
    """Bytes in MB of 1,000,000 bytes, without the unit."""
    known = figure(size)
    return number(None if known is None else known / 1e6, digits)


def percent(ratio: Any, digits: int = 1) -> str:
    """A ratio in percent, without the sign."""
    known = figure(ratio)
    return number(None if known is None else known * 100, digits)


def milliseconds(value: Any) -> str:
    """At least three significant figures, without the unit."""
    size = figure(value) or 0.0
    return number(value, 0 if size >= 100 else 1 if size >= 10 else 2)


def interval(ratio: Any, digits: int = 2) -> str:
    """``2.05 (2.01-2.09)`` of a mapping with value, low, high; the value alone where the bounds are null."""
    value, low, high = (number(get(ratio, key), digits) for key in ("value", "low", "high"))
    return value if NONE in (value, low, high) else f"{value} ({low}-{high})"


def goal_figure(goal: str, value: Any) -> str:
    """A goal's bound or value, in the goal's own unit."""
    if goal.startswith("size_ratio"):
        return NONE if figure(value) is None else percent(value) + " %"
    digits = next((count for name, count in DIGITS.items() if goal.startswith(name)), 3)
    unit = " dB" if goal.endswith("_db") else "x" if goal.startswith(RATIOS) else ""
    return NONE if figure(value) is None else number(value, digits, unit=unit)


def goal_bound(goal: str, bound: Any) -> str:
    """``>= 39.5 dB`` or ``<= 0.050 dB``."""
    text = goal_figure(goal, bound)
    return text if text == NONE else f"{'>=' if goal.startswith(AT_LEAST) else '<='} {text}"


def goal_state(goal: Mapping[str, Any]) -> str:
    """``met``, ``MISSED``, or ``not measured`` for a goal that has no value."""
    if figure(goal.get("value")) is None:
        return "not measured"
    return "met" if goal.get("met") else "MISSED"
