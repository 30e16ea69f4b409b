"""Figures as text. What is null is a dash: never a zero. And words that are not ours, as a page shows them."""

import unicodedata
from typing import Any

from compress.results.goal import Goal

NONE = "-"
AT_LEAST = ("fidelity", "speedup", "parity", "delegated", "instructions", "estimated_speedup")
RATIOS = ("speedup", "instructions", "estimated_speedup")
DIGITS = {"lpips": 4, "ssim": 4, "fidelity": 1, "parity": 1, "psnr": 3, "color": 2, "breaches": 0}
DIGITS |= dict.fromkeys(RATIOS, 2)


def number(value: float | None, digits: int, *, sign: bool = False, unit: str = "") -> str:
    """``value`` rounded to ``digits`` decimals, with its sign where asked for, and a unit behind it."""
    if value is None:
        return NONE
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return (text.replace("-", "+" if sign else "", 1) if float(text) == 0 else text) + unit


def megabytes(size: float | None, digits: int = 2) -> str:
    """Bytes in MB of 1,000,000 bytes, without the unit."""
    return number(None if size is None else size / 1e6, digits)


def percent(ratio: float | None, digits: int = 1) -> str:
    """A ratio in percent, without the sign."""
    return number(None if ratio is None else ratio * 100, digits)


def milliseconds(value: float | None) -> str:
    """At least three significant figures, without the unit."""
    size = value or 0.0
    return number(value, 0 if size >= 100 else 1 if size >= 10 else 2)


def goal_figure(goal: str, value: float | None) -> str:
    """A goal's bound or value, in the goal's own unit."""
    if value is None:
        return NONE
    if goal.startswith("size_ratio"):
        return percent(value) + " %"
    digits = next((count for name, count in DIGITS.items() if goal.startswith(name)), 3)
    unit = " dB" if goal.endswith("_db") else "x" if goal.startswith(RATIOS) else ""
    return number(value, digits, unit=unit)


def goal_bound(goal: str, bound: float | None) -> str:
    """``>= 39.5 dB`` or ``<= 0.050 dB``."""
    text = goal_figure(goal, bound)
    return text if text == NONE else f"{'>=' if goal.startswith(AT_LEAST) else '<='} {text}"


def bound_on_cpu(goal: Goal) -> str:
    """A goal's bound, and the CPU feature by which it was chosen: ``>= 1.60x (avx2)``."""
    text = goal_bound(goal.goal, goal.bound)
    return f"{text} ({goal.cpu_feature})" if goal.cpu_feature else text


def goal_state(goal: Goal) -> str:
    """``met``, ``MISSED``, or ``not measured`` for a goal that has no value."""
    if goal.value is None:
        return "not measured"
    return "met" if goal.met else "MISSED"


def visible(value: Any) -> Any:
    """``value`` with each text in it, names of mappings too, as a page may show it: control characters and changes of
    direction, which would turn the words around them, or make an SVG file no XML, are written as Python writes them.
    """
    if isinstance(value, dict):
        return {visible(key): visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [visible(item) for item in value]
    # Text alone: markup is of templates, whose own values have been here.
    if type(value) is not str or value.isprintable():
        return value
    return "".join(c if _is_shown(c) else c.encode("unicode_escape").decode() for c in value)


def _is_shown(character: str) -> bool:
    return character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs"
