"""`compress compare`: B against A, by measure, with an interval over the pictures, and a verdict in words."""

from typing import Any

from compress.ledger.compare.change import Change
from compress.ledger.compare.comparison import Comparison, PairComparison
from compress.ledger.compare.sides import Pair, pairs, side

CHANGED = 5

BY_PICTURE = {"psnr_db": True, "psnr_y_db": True, "ssim": True, "lpips": False, "color_shift": False}
"""Measures that every picture has -> whether higher is better."""

BY_ARTIFACT = ("latency_p50_ms", "bytes", "macs", "peak_rss_mb")
"""Lower is better."""


def compare(a: str, b: str) -> Comparison:
    """Hold ``b`` against ``a``: bundles, artifacts in bundles, or row ids of the ledger.

    Raises InputError when nothing of them can be compared, and what reading them raises.
    """
    return Comparison(a, b, [compared(pair) for pair in pairs(side(a), side(b))])


def compared(pair: Pair) -> PairComparison:
    """Every measure that both rows of a pair have."""
    found = [_change(pair, measure) for measure in (*BY_ARTIFACT, *BY_PICTURE)]
    return PairComparison(pair, [change for change in found if change], _most_changed(pair))


def _change(pair: Pair, measure: str) -> Change | None:
    a, b = pair.a[measure], pair.b[measure]
    if a is None or b is None:
        return None
    if measure not in BY_PICTURE or not _both_pictures(pair):
        return Change(measure, a, b)
    from compress.ledger.compare.difference import difference

    values = ([picture[measure] for picture in row["pictures"]] for row in (pair.a, pair.b))
    return Change(measure, a, b, difference(*values))


def _both_pictures(pair: Pair) -> bool:
    """Whether both hold scores of the same pictures; their data's hash says that they were the same."""
    a, b = pair.a.get("pictures"), pair.b.get("pictures")
    return bool(a and b and len(a) == len(b))


def _most_changed(pair: Pair) -> list[dict[str, Any]]:
    if not _both_pictures(pair):
        return []
    both = zip(pair.a["pictures"], pair.b["pictures"], strict=True)
    listed = [
        {
            "picture": y["name"],
            "a": x["psnr_db"],
            "b": y["psnr_db"],
            "difference": round(y["psnr_db"] - x["psnr_db"], 5),
        }
        for x, y in both
    ]
    return sorted(listed, key=lambda item: -abs(item["difference"]))[:CHANGED]
