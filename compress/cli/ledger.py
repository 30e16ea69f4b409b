"""Commands on results over time: `compress ledger ...`, `compare`, `check` and `report`. No logic."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.ledger_options import filtered
from compress.cli.options import bundle_path
from compress.cli.output import JsonOption, show
from compress.cli.panels import COMPARE
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.ledger import Filter

app = typer.Typer()
ledger = typer.Typer(
    no_args_is_help=True,
    help="List, compare, export and import the measurements of past runs.\n\nExample: compress ledger ls",
)

SideArg = Annotated[str, typer.Argument(help="A bundle, an artifact in a bundle, or the id of a ledger row.")]


class Cost(StrEnum):
    """What `compress ledger pareto --x` takes; less is better."""

    latency_p50_ms = "latency_p50_ms"
    bytes = "bytes"
    macs = "macs"


class Quality(StrEnum):
    """What `compress ledger pareto --y` takes."""

    psnr_db = "psnr_db"
    lpips = "lpips"


class Server(StrEnum):
    """What `compress ledger export --to` takes."""

    mlflow = "mlflow"


@ledger.command("ls")
@filtered
def list_(
    *,
    which: "Filter",
    limit: Annotated[int, typer.Option(min=0, help="List this many of the newest rows; 0 only counts them.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="List all rows.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the rows of the ledger, newest first.

    Example: compress ledger ls --target x86-openvino --since 7d
    """
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.view import Listing

        opened = open_ledger()
        result = Listing(opened.place, opened.count(which), opened.rows(which, None if every else limit))
    show(result, as_json=as_json)


@ledger.command("show")
def show_(
    row: Annotated[str, typer.Argument(metavar="ROW", help="Id of the row, or at least its first six digits.")],
    as_json: JsonOption = False,
) -> None:
    """Show every field of one row.

    Example: compress ledger show 3f9a12
    """
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.view import RowView

        result = RowView(open_ledger().row(row))
    show(result, as_json=as_json)


@ledger.command()
@filtered
def pareto(
    x: Annotated[Cost, typer.Option(help="Cost on the x axis.")] = Cost.latency_p50_ms,
    y: Annotated[Quality, typer.Option(help="Quality on the y axis.")] = Quality.psnr_db,
    *,
    which: "Filter",
    as_json: JsonOption = False,
) -> None:
    """Show, per device, the artifacts that no other artifact beats in both cost and quality.

    Example: compress ledger pareto --target x86-openvino
    """
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.pareto import pareto as run

        result = run(open_ledger(), x.value, y.value, which)
    show(result, as_json=as_json)


@ledger.command("export")
@filtered
def export_(
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="Write this file; its suffix (.json, .csv or .parquet) chooses the format.",
            show_default=False,
        ),
    ] = None,
    *,
    to: Annotated[Server | None, typer.Option(help="Send the rows to a tracking server instead of a file.")] = None,
    uri: Annotated[str | None, typer.Option(help="Address of the server; by default MLFLOW_TRACKING_URI.")] = None,
    experiment: Annotated[
        str, typer.Option(help="Experiment on the server; it is created if it does not exist.")
    ] = "elir-compress",
    files: Annotated[bool, typer.Option("--files", help="Also send the artifacts' files.")] = False,
    which: "Filter",
) -> None:
    """Write rows, with the scores of every picture, to a file, or send them to an MLflow server.

    Example: compress ledger export rows.csv --since 30d
    """
    if (out is None) == (to is None):
        raise InputError("export: give a FILE, or --to mlflow")
    with results_only():
        from compress.ledger import open_ledger

        if out is not None:
            from compress.files import check_output
            from compress.ledger.exchange import write_rows

            check_output(out)
        rows = open_ledger().rows(which, pictures=True)
        if out is not None:
            write_rows(rows, out)
            summary = f"{out}: {len(rows)} rows"
        else:
            from compress.ledger.to_mlflow import send
            from compress.progress import Progress

            summary = str(send(rows, uri, experiment, Progress(), files=files))
    typer.echo(summary)


@ledger.command("import")
def import_(
    sources: Annotated[
        list[Path], typer.Argument(metavar="FILE_OR_BUNDLE...", help="Add the rows of these exports and bundles.")
    ],
) -> None:
    """Add the rows of exports and bundles that the ledger does not have yet.

    Example: compress ledger import runs/int8_sr
    """
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.exchange import read_rows
        from compress.ledger.record import bundle_measurements

        rows = [row for s in sources for row in (bundle_measurements(s) if s.is_dir() else read_rows(s))]
        opened = open_ledger()
        added = opened.append(rows)
    typer.echo(f"{opened.place}: {added} rows added, {len(rows) - added} were there")


@app.command(rich_help_panel=COMPARE)
@ledger.command()
def compare(a: SideArg, b: SideArg, as_json: JsonOption = False) -> None:
    """Compare B with A: every measure with its interval, a verdict, and the pictures that changed most.

    Example: compress compare runs/before runs/after
    """
    with results_only():
        from compress.ledger.compare.measures import compare as run

        result = run(a, b)
    show(result, as_json=as_json)


@app.command(rich_help_panel=COMPARE)
def check(
    bundle: Annotated[
        str | None, typer.Argument(help="Check this bundle or artifact; by default the newest run in the ledger.")
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            metavar="LEDGER_OR_BUNDLE", help="Compare with this bundle, or with earlier ledger rows ('ledger')."
        ),
    ] = "ledger",
    max_psnr_drop: Annotated[float | None, typer.Option(help="Largest accepted loss of PSNR in dB.")] = None,
    max_ssim_drop: Annotated[float | None, typer.Option(help="Largest accepted loss of SSIM.")] = None,
    max_lpips_rise: Annotated[float | None, typer.Option(help="Largest accepted rise of LPIPS.")] = None,
    max_slowdown: Annotated[
        float | None, typer.Option(help="Largest accepted ratio of median latencies, for example 1.1.")
    ] = None,
    max_size_growth: Annotated[
        float | None, typer.Option(help="Largest accepted ratio of sizes, for example 1.02.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the checks as JUnit XML to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write a Markdown summary to this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a bundle with earlier results, and exit with 3 if it is worse by more than a limit.

    Example: compress check runs/int8_sr --max-psnr-drop 0.05
    """
    with results_only():
        from compress.files import check_output
        from compress.ledger.compare.check import Limits
        from compress.ledger.compare.check import check as run

        for path in filter(None, (junit, markdown)):
            check_output(path)
        limits = Limits(max_psnr_drop, max_ssim_drop, max_lpips_rise, max_slowdown, max_size_growth)
        result = run(bundle, against, limits)
        result.write(junit, markdown)
    show(result, as_json=as_json)
    raise typer.Exit(result.exit_code)


@app.command(rich_help_panel=COMPARE)
@filtered
def report(
    bundles: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE",
            parser=bundle_path,
            help="Report on these bundles; by default on the artifacts in the ledger.",
        ),
    ] = [],  # noqa: B006
    out: Annotated[Path, typer.Option("-o", "--out", help="Write the page to this file.")] = Path("report.html"),
    *,
    which: "Filter",
    limit: Annotated[int, typer.Option(min=1, help="Show this many of the ledger's newest artifacts.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="Show all of the ledger's artifacts.")] = False,
) -> None:
    """Write one page about bundles or the ledger: frontiers per device, tables, pictures and errors.

    Example: compress report runs/int8_sr runs/fast_sr -o report.html
    """
    with results_only():
        from compress.ledger.report import report as run

        result = run(bundles, which, None if every else limit, out)
    typer.echo(result)
