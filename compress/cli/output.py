"""How a command shows its result: one JSON document, or a table for people."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

WIDTH = 110
WIDEST = 1000
IDS = ("artifact", "target", "row", "id", "recipe", "data set", "set", "point", "unit", "file", "what")
"""Headings of columns whose cells are typed again."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout, and nothing else.")]


def say(lines: Iterable[str]) -> None:
    """Remarks beside a result, on stderr, a line each whatever names from outside are in it."""
    for line in lines:
        typer.echo(printable(line), err=True)


def show(result: Any, *, as_json: bool) -> None:
    """One JSON document, or a table for people."""
    import json

    data = result.to_json() if hasattr(result, "to_json") else result
    if as_json or not hasattr(result, "table"):
        # What another encoding lacks, JSON can escape; the stream's own escapes would be none of JSON's.
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
        text = json.dumps(data, indent=2, ensure_ascii=ascii_only, allow_nan=False)
        # JSON leaves characters of control beyond ASCII as they are, which a terminal may obey.
        typer.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))
        return
    from rich.console import Console

    # Names of files, recipes and extras are not markup: rich would drop `[ray]` and turn `:x:` into a picture.
    console = Console(markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH  # rich assumes 80 columns there, and folds names that the tables have room for
    table = result.table()
    _keep_ids_whole(table)
    # In a narrower terminal, figures would be cut off: rather let the terminal wrap whole lines.
    needed = console.measure(table, options=console.options.update(max_width=WIDEST)).minimum
    console.width = max(console.width, needed)
    console.print(Shown(table))


def _keep_ids_whole(shown: Any) -> None:
    """Ids in a folded cell could not be copied, and a figure that is cut off would be another figure."""
    from rich.cells import cell_len

    for part in getattr(shown, "renderables", [shown]):
        for column in getattr(part, "columns", ()):
            column.no_wrap = column.no_wrap or str(column.header) in IDS
            if column.no_wrap:
                # Names and headings may have spaces, at which rich's own minimum would cut them.
                lines = (line for cell in (column.header, *column.cells) for line in str(cell).split("\n"))
                column.min_width = max(map(cell_len, lines))


class Shown:
    """What a table shows, without the characters of names that a terminal would obey."""

    def __init__(self, table: "RenderableType") -> None:
        self.table = table

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Segment]":
        from rich.segment import Segment

        for segment in console.render(self.table, options):
            lines = segment.text.split("\n")
            yield segment if segment.control else Segment("\n".join(map(printable, lines)), segment.style)
