"""A comparison for a terminal."""

from typing import TYPE_CHECKING

from compress.showing import plain

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from compress.comparison.compare import Change, Compared, Comparison


def comparison_table(comparison: "Comparison") -> "Group":
    """For each pair: verdict, measures, most changed pictures."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Text | Table] = [Text(f"A: {comparison.a}\nB: {comparison.b}")]
    for compared in comparison.compared:
        parts.append(Text(f"\n{compared.pair.label}", style="bold"))
        parts.append(Text("\n".join([compared.verdict, *compared.notes])))
        parts.append(_measures(compared))
        parts += [_pictures(compared)] if compared.pictures else []
    return Group(*parts)


def _measures(compared: "Compared") -> "Table":
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


def _pictures(compared: "Compared") -> "Table":
    from rich.text import Text

    table = _table("most changed", "A, PSNR dB", "B, PSNR dB", "B - A")
    for picture in compared.pictures:
        values = (f"{picture['a']:.2f}", f"{picture['b']:.2f}", f"{picture['difference']:+.3f}")
        table.add_row(Text(picture["picture"]), *values)
    return table


def _table(*headings: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    return table
