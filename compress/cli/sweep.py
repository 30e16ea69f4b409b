"""`compress sweep`. No logic."""

from pathlib import Path
from typing import Annotated, Any

import typer

from compress.cli.guard import results_only
from compress.cli.options import AddressOption
from compress.cli.output import JsonOption, show
from compress.cli.panels import MAKE
from compress.errors import InputError

app = typer.Typer()


@app.command(rich_help_panel=MAKE)
def sweep(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="SWEEP.yaml | status [SWEEP.yaml]", help="Run the sweep in this file, or report its progress."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the sweep to this folder; by default runs/<sweep name>.")
    ] = None,
    address: AddressOption = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="With status: read this store, if the sweep's files are not in its own folder."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run many recipes, or one recipe with many settings, and do shared work only once.

    Example: compress sweep sweep.yaml --dry-run
    """
    with results_only():
        if words[0] == "status":
            from compress.sweep.status import folder_of, status

            shown: Any = status(*folder_of(words[1:], out, store))
        elif len(words) > 1:
            raise InputError(f"sweep: takes one file, got {len(words)}: put their recipes into one sweep")
        else:
            from compress.progress import Progress
            from compress.sweep.run import sweep as run

            shown = run(Path(words[0]), out, address, Progress(), dry_run=dry_run)
    show(shown, as_json=as_json)
    raise typer.Exit(shown.exit_code)
