"""Per device, the artifacts that no other beats in both cost and quality."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from compress.ledger.view import BUSY
from compress.report.devices import GROUP, HIGHER_IS_BETTER
from compress.text import plain, printable

if TYPE_CHECKING:
    from rich.console import Group

    from compress.ledger.store import Filter, Ledger
    from compress.results.measurement import Row

Cost = Literal["latency_p50_ms", "bytes", "macs"]

Quality = Literal["psnr_db", "lpips"]


@dataclass(frozen=True)
class Frontier:
    """The artifacts of one group that nothing beats, cheapest first, and how many are beaten."""

    group: "tuple[str | int | None, ...]"
    points: "list[Row]"
    dominated: int

    @property
    def facts(self) -> "dict[str, str | int | None]":
        """What the group has in common, by name."""
        return dict(zip(GROUP, self.group, strict=True))


@dataclass(frozen=True)
class Pareto:
    """What ``compress ledger pareto`` found."""

    x: Cost
    y: Quality
    frontiers: list[Frontier]

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        frontiers = [
            {**f.facts, "points": [p.to_json() for p in f.points], "dominated": f.dominated} for f in self.frontiers
        ]
        return {"x": self.x, "y": self.y, "frontiers": frontiers}

    def table(self) -> "Group":
        """A table a group."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        shown = []
        for frontier in self.frontiers:
            facts = {name: "-" if value is None else value for name, value in frontier.facts.items()}
            size = frontier.points[0].size_text
            title = "{target} · {task} · {dataset} · {size} · {cpu} · {threads} threads".format(**facts, size=size)
            timed = self.x == "latency_p50_ms"
            beaten = f"{frontier.dominated} more, beaten"
            if timed and any(row.busy for row in frontier.points):
                beaten += f"\n{BUSY}"
            table = Table(title=Text(printable(title)), title_justify="left", caption=beaten)
            for name in (self.x, self.y, "recipe", "artifact", "measured", "row"):
                table.add_column(name, justify="right" if name in (self.x, self.y) else "left")
            for row in frontier.points:
                named = (row.recipe, row.artifact, row.created[:16], row.id[:8])
                cost = plain(getattr(row, self.x), 6) + ("*" if timed and row.busy else "")
                table.add_row(cost, plain(getattr(row, self.y), 6), *map(Text, map(printable, named)))
            shown.append(table)
        return Group(*shown, *(() if shown else (Text(f"no row has both {self.x} and {self.y}"),)))


def pareto(ledger: "Ledger", x: Cost, y: Quality, which: "Filter") -> Pareto:
    """The frontiers of the rows that ``which`` lets through; of one file measured again, the newest row counts."""
    names = ("id", *GROUP, "files_sha256", x, y)
    groups: dict[tuple[Any, ...], dict[str, tuple[str, float, float]]] = {}
    for id, *rest in ledger.columns(names, which):
        group, (file, cost, quality) = tuple(rest[: len(GROUP)]), rest[len(GROUP) :]
        if cost is not None and quality is not None:
            groups.setdefault(group, {}).setdefault(file, (id, cost, quality))
    frontiers = []
    for group, files in sorted(groups.items(), key=lambda item: tuple(map(str, item[0]))):
        best = frontier(files.values(), higher_is_better=HIGHER_IS_BETTER[y])
        rows = {row.id: row for row in ledger.by_ids(best)}
        frontiers.append(Frontier(group, [rows[id] for id in best], len(files) - len(best)))
    return Pareto(x, y, frontiers)


def newest(rows: "Iterable[Row]") -> "list[Row]":
    """The first row of each file on one device and the same pictures; ``rows`` are newest first."""
    kept: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        kept.setdefault(tuple(getattr(row, name) for name in (*GROUP, "files_sha256")), row)
    return list(kept.values())


def frontier(points: Iterable[tuple[str, float, float]], *, higher_is_better: bool) -> Sequence[str]:
    """Ids of (id, cost, quality) that no other point beats, cheapest first; of equal points, the first."""
    sign = 1 if higher_is_better else -1
    kept: list[str] = []
    best = float("-inf")
    for id, _, quality in sorted(points, key=lambda point: (point[1], -sign * point[2])):
        if sign * quality > best:
            best = sign * quality
            kept.append(id)
    return kept
