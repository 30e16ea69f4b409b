"""`compress sweep`. No logic; see ``cli``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from compress.cli.guard import results_only
from compress.cli.options import AddressOption
from compress.cli.output import JsonOption, show
from compress.errors import InputError


def sweep(
    words: Annotated[
        list[str], typer.Argument(metavar="SWEEP.yaml | status [SWEEP.yaml]", help="Sweep's file; or how one stands.")
    ],
    out: Annotated[Path | None, typer.Option(help="The sweep's folder; runs/<its name> by default.")] = None,
    address: AddressOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; do nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run many recipes, or one with many settings, on many targets; what they share is done once."""
    with results_only():
        if words[0] == "status":
            from compress.sweep.status import folder_of, status

            shown: Any = status(folder_of(words[1:], out))
        elif len(words) > 1:
            raise InputError(f"sweep: takes one file, got {len(words)}: put their recipes into one sweep")
        else:
            from compress.progress import Progress
            from compress.sweep.run import sweep as run

            shown = run(Path(words[0]), out, address, dry_run, Progress())
    show(shown, as_json=as_json)
    raise typer.Exit(shown.exit_code)
