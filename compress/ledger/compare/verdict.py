"""A comparison in words: \"B is 1.7x faster, 0.04 dB worse, interval includes 0\"."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compress.ledger.compare.change import Change

SAME = 0.02
"""Two latencies nearer than this are called equal: warm-up ends, too, when medians agree within it."""


def in_words(change: "Callable[[str], Change | None]") -> str:
    """Speed, size, PSNR, LPIPS, as far as both sides have them."""
    parts = [
        _times(change("latency_p50_ms"), "faster", "slower", "as fast"),
        _times(change("bytes"), "smaller", "larger", "as large"),
        _quality(change("psnr_db"), "PSNR", 2, "dB", higher_is_better=True),
        _quality(change("lpips"), "LPIPS", 4, "LPIPS", higher_is_better=False),
    ]
    phrases = [part for part in parts if part]
    return f"B is {', '.join(phrases)}" if phrases else "nothing was measured on both sides"


def _times(change: "Change | None", better: str, worse: str, same: str) -> str:
    if change is None or not change.a or not change.b:
        return ""
    ratio = change.a / change.b
    if abs(ratio - 1) < SAME:
        return same
    return f"{ratio:.2f}x {better}" if ratio > 1 else f"{1 / ratio:.2f}x {worse}"


def _quality(change: "Change | None", name: str, digits: int, unit: str, *, higher_is_better: bool) -> str:
    if change is None:
        return ""
    if not round(change.b - change.a, digits):
        return f"equal in {name}" + (_interval(change) if change.a != change.b else "")
    gain = (change.b - change.a) * (1 if higher_is_better else -1)
    word = "better" if gain > 0 else "worse"
    return f"{abs(gain):.{digits}f} {unit} {word}" + _interval(change)


def _interval(change: "Change") -> str:
    if change.difference is None or change.difference.low is None or change.difference.high is None:
        return " (no interval)"
    includes = change.difference.low <= 0 <= change.difference.high
    return f" (interval {'includes' if includes else 'excludes'} 0)"
