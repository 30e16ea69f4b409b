"""How a command shows its result: one JSON document, or a table for people."""

import sys
from typing import Annotated, Any

import typer

WIDTH = 110

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout, nothing else.")]


def show(result: Any, *, as_json: bool) -> None:
    """One JSON document, or a table for people."""
    import json

    data = result.to_json() if hasattr(result, "to_json") else result
    if as_json or not hasattr(result, "table"):
        # What another encoding lacks, JSON can escape; the stream's own escapes would be none of JSON's.
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
        typer.echo(json.dumps(data, indent=2, ensure_ascii=ascii_only, allow_nan=False))
        return
    from rich.console import Console

    console = Console()
    # Into a file or a pipe rich assumes 80 columns, and folds names that the results' tables have room for at 110.
    (console if console.is_terminal else Console(width=WIDTH)).print(result.table())
