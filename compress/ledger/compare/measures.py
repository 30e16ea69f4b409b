"""`compress compare`: B against A, by measure, with an interval over the pictures, and a verdict in words."""

from compress.ledger.compare.change import Change
from compress.ledger.compare.comparison import Comparison, PairComparison, PictureChange
from compress.ledger.compare.sides import Pair, pairs, side
from compress.results.measurement import Row

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
    changes = [_change(pair, measure) for measure in (*BY_ARTIFACT, *BY_PICTURE)]
    return PairComparison(pair, [change for change in changes if change], _most_changed(pair))


def _change(pair: Pair, measure: str) -> Change | None:
    a, b = getattr(pair.a, measure), getattr(pair.b, measure)
    if a is None or b is None:
        return None
    values = [_scores(row, measure) for row in (pair.a, pair.b)] if measure in BY_PICTURE else [(), ()]
    if not values[0] or len(values[0]) != len(values[1]):
        return Change(measure, a, b)
    from compress.ledger.compare.difference import difference

    return Change(measure, a, b, difference(*values))


def _scores(row: Row, measure: str) -> tuple[float, ...]:
    """A measure of every picture, in the set's order; none where a picture lacks it."""
    scores = tuple(getattr(picture, measure) for picture in row.pictures or ())
    return () if None in scores else scores


def _most_changed(pair: Pair) -> list[PictureChange]:
    """The pictures that changed most; both sides have the same ones, as the hash of their data says."""
    scores = [_scores(row, "psnr_db") for row in (pair.a, pair.b)]
    if not scores[0] or len(scores[0]) != len(scores[1]):
        return []
    names = (picture.name for picture in pair.b.pictures or ())
    listed = [PictureChange(name, a, b) for name, a, b in zip(names, *scores, strict=True)]
    return sorted(listed, key=lambda picture: -abs(picture.difference))[:CHANGED]
