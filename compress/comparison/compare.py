"""`compress compare`: B against A, by measure, with an interval over the pictures, and a verdict in words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.comparison.sides import Pair, pairs, side

if TYPE_CHECKING:
    from rich.console import Group

    from compress.comparison.paired import Difference

CHANGED = 5
BY_PICTURE = {"psnr_db": True, "psnr_y_db": True, "ssim": True, "lpips": False, "color_shift": False}
"""Measures that every picture has -> whether higher is better."""
BY_ARTIFACT = ("latency_p50_ms", "bytes", "macs", "peak_rss_mb")
"""Lower is better."""
SAME_DEVICE = ("target", "cpu", "threads", "protocol")


@dataclass(frozen=True)
class Change:
    """One measure of both sides; ``difference`` is B - A with its interval, None where pictures were not kept."""

    measure: str
    a: float
    b: float
    difference: "Difference | None" = None

    def to_json(self) -> dict[str, Any]:
        """Values, difference, ratio B / A, and the 95 % interval of the difference."""
        low, high = (self.difference.low, self.difference.high) if self.difference else (None, None)
        interval = None if low is None else {"low": low, "high": high, "includes_0": low <= 0 <= high}  # type: ignore[operator]
        ratio = round(self.b / self.a, 5) if self.a else None
        values = {"measure": self.measure, "a": self.a, "b": self.b, "difference": round(self.b - self.a, 6)}
        return {**values, "ratio": ratio, "interval": interval}


@dataclass(frozen=True)
class Compared:
    """A pair, every measure that both have, and the pictures that changed most."""

    pair: Pair
    changes: list[Change]
    pictures: list[dict[str, Any]]

    @property
    def notes(self) -> list[str]:
        """What the speeds differ in beside the artifacts."""
        a, b = self.pair.a, self.pair.b
        if a["latency_p50_ms"] is None or b["latency_p50_ms"] is None:
            return []
        return [f"{name} differs: {a[name]} and {b[name]}" for name in SAME_DEVICE if a[name] != b[name]]

    def change(self, measure: str) -> Change | None:
        """One measure's change, where both sides have it."""
        return next((change for change in self.changes if change.measure == measure), None)

    @property
    def verdict(self) -> str:
        """In words: speed, size, PSNR and LPIPS."""
        from compress.comparison.verdict import in_words

        return in_words(self.change)

    def to_json(self) -> dict[str, Any]:
        a, b = self.pair.a, self.pair.b
        return {
            **{name: b[name] for name in ("task", "target", "dataset", "n")},
            "a": {name: a[name] for name in ("id", "recipe", "artifact", "created", "files_sha256")},
            "b": {name: b[name] for name in ("id", "recipe", "artifact", "created", "files_sha256")},
            "verdict": self.verdict,
            "notes": self.notes,
            "measures": [change.to_json() for change in self.changes],
            "most_changed": self.pictures,
        }


@dataclass(frozen=True)
class Comparison:
    """What ``compress compare`` found."""

    a: str
    b: str
    compared: list[Compared]

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {"a": self.a, "b": self.b, "comparisons": [compared.to_json() for compared in self.compared]}

    def table(self) -> "Group":
        """For a terminal."""
        from compress.comparison.compare_table import comparison_table

        return comparison_table(self)


def compare(a: str, b: str) -> Comparison:
    """Hold ``b`` against ``a``: bundles, artifacts in bundles, or row ids of the ledger.

    Raises InputError when nothing of them can be compared, and what reading them raises.
    """
    return Comparison(a, b, [compared(pair) for pair in pairs(side(a), side(b))])


def compared(pair: Pair) -> Compared:
    """Every measure that both rows of a pair have."""
    found = [_change(pair, measure) for measure in (*BY_ARTIFACT, *BY_PICTURE)]
    return Compared(pair, [change for change in found if change], _most_changed(pair))


def _change(pair: Pair, measure: str) -> Change | None:
    a, b = pair.a[measure], pair.b[measure]
    if a is None or b is None:
        return None
    if measure not in BY_PICTURE or not _both_pictures(pair):
        return Change(measure, a, b)
    from compress.comparison.paired import difference

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
