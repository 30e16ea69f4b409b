"""What `compress compare` found: by pair, as JSON and for a terminal."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.ledger.compare.change import Change
from compress.ledger.compare.sides import Pair
from compress.ledger.compare.verdict import in_words
from compress.text import plain, printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

SIDE = ("id", "recipe", "artifact", "created", "files_sha256")
SAME_DEVICE = ("target", "cpu", "threads", "protocol")


@dataclass(frozen=True)
class PictureChange:
    """PSNR of one picture on both sides, in dB."""

    picture: str
    a: float
    b: float

    @property
    def difference(self) -> float:
        """B - A."""
        return round(self.b - self.a, 5)

    def to_json(self) -> dict[str, str | float]:
        return {"picture": self.picture, "a": self.a, "b": self.b, "difference": self.difference}


@dataclass(frozen=True)
class PairComparison:
    """A pair, every measure that both have, and the pictures that changed most."""

    pair: Pair
    changes: list[Change]
    pictures: list[PictureChange]

    @property
    def notes(self) -> list[str]:
        """What the speeds differ in beside the artifacts, and what else ran while they were measured."""
        a, b = self.pair.a, self.pair.b
        if a.latency_p50_ms is None or b.latency_p50_ms is None:
            return []
        both = [(name, getattr(a, name), getattr(b, name)) for name in SAME_DEVICE]
        busy = [
            f"{side} was measured while other processes took {row.busy}: measure again on an idle machine"
            for side, row in (("A", a), ("B", b))
            if row.busy
        ]
        return [f"{name} differs: {x} and {y}" for name, x, y in both if x != y] + busy

    def change(self, measure: str) -> Change | None:
        """One measure's change, where both sides have it."""
        return next((change for change in self.changes if change.measure == measure), None)

    @property
    def verdict(self) -> str:
        """Speed, size, PSNR and LPIPS in words."""
        return in_words(self.change)

    def to_json(self) -> dict[str, Any]:
        a, b = self.pair.a, self.pair.b
        return {
            **{name: getattr(b, name) for name in ("task", "target", "dataset", "n")},
            "a": {name: getattr(a, name) for name in SIDE},
            "b": {name: getattr(b, name) for name in SIDE},
            "verdict": self.verdict,
            "notes": self.notes,
            "measures": [change.to_json() for change in self.changes],
            "most_changed": [picture.to_json() for picture in self.pictures],
        }


@dataclass(frozen=True)
class Comparison:
    """What ``compress compare`` found."""

    a: str
    b: str
    compared: list[PairComparison]

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {"a": self.a, "b": self.b, "comparisons": [compared.to_json() for compared in self.compared]}

    def table(self) -> "Group":
        """The comparison for a terminal."""
        return comparison_table(self)


def comparison_table(comparison: "Comparison") -> "Group":
    """Verdict, measures and most changed pictures of each pair."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Text | Table] = [Text(f"A: {printable(comparison.a)}\nB: {printable(comparison.b)}")]
    for compared in comparison.compared:
        parts.append(Text(f"\n{printable(compared.pair.label)}", style="bold"))
        parts.append(Text("\n".join(map(printable, [compared.verdict, *compared.notes]))))
        parts.append(_measures(compared))
        parts += [_pictures(compared)] if compared.pictures else []
    return Group(*parts)


def _measures(compared: "PairComparison") -> "Table":
    table = _table("measure", "A", "B", "B - A", "95 % interval", "B / A")
    for change in compared.changes:
        ratio = f"{change.b / change.a:.4f}" if change.a else "-"
        sides = (plain(change.a, 7), plain(change.b, 7), plain(change.b - change.a, 5, "+"))
        table.add_row(change.measure, *sides, _interval(change), ratio)
    return table


def _interval(change: "Change") -> str:
    if change.difference is None or change.difference.low is None:
        return "-"
    return f"{change.difference.low:+.5g} to {change.difference.high:+.5g}"


def _pictures(compared: "PairComparison") -> "Table":
    from rich.text import Text

    table = _table("most changed", "A, PSNR dB", "B, PSNR dB", "B - A")
    for picture in compared.pictures:
        values = (f"{picture.a:.2f}", f"{picture.b:.2f}", f"{picture.difference:+.3f}")
        table.add_row(Text(printable(picture.picture)), *values)
    return table


def _table(*headings: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    return table
