"""The commands around the ledger: `compress ledger ...`, `compare`, `check`. No logic; see ``cli``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.ledger_options import filtered
from compress.cli.output import JsonOption, show
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.ledger import Filter

ledger = typer.Typer(no_args_is_help=True, help="What was measured over time: list, frontiers, export, import.")

SideArg = Annotated[str, typer.Argument(help="Bundle, artifact in a bundle, or the id of a row of the ledger.")]


class Cost(StrEnum):
    """What `pareto --x` may be; less is better."""

    latency_p50_ms = "latency_p50_ms"
    bytes = "bytes"
    macs = "macs"


class Quality(StrEnum):
    """What `pareto --y` may be."""

    psnr_db = "psnr_db"
    lpips = "lpips"


class Server(StrEnum):
    """What `export --to` may be."""

    mlflow = "mlflow"


@ledger.command("ls")
@filtered
def list_(
    *,
    which: "Filter",
    limit: Annotated[int, typer.Option(min=0, help="Newest rows to list; 0: only how many there are.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="List every row.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List rows, newest first."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.view import Listing

        opened = open_ledger()
        result = Listing(opened.place, opened.count(which), opened.rows(which, None if every else limit))
    show(result, as_json=as_json)


@ledger.command("show")
def show_(
    row: Annotated[str, typer.Argument(metavar="ROW", help="Beginning of the row's id, 6 digits or more.")],
    as_json: JsonOption = False,
) -> None:
    """Show every field of one row."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.view import RowView

        result = RowView(open_ledger().row(row))
    show(result, as_json=as_json)


@ledger.command()
@filtered
def pareto(
    x: Annotated[Cost, typer.Option(help="Cost.")] = Cost.latency_p50_ms,
    y: Annotated[Quality, typer.Option(help="Quality.")] = Quality.psnr_db,
    *,
    which: "Filter",
    as_json: JsonOption = False,
) -> None:
    """Show, per device, the artifacts that no other beats in both cost and quality."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.pareto import pareto as run

        result = run(open_ledger(), x.value, y.value, which)
    show(result, as_json=as_json)


@ledger.command("export")
@filtered
def export_(
    out: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="To write: .json, .csv or .parquet.", show_default=False)
    ] = None,
    *,
    to: Annotated[Server | None, typer.Option(help="Send to a tracking server instead.")] = None,
    uri: Annotated[str | None, typer.Option(help="Of the server; MLFLOW_TRACKING_URI by default.")] = None,
    experiment: Annotated[str, typer.Option(help="Of the server, made where it is not there.")] = "elir-compress",
    files: Annotated[bool, typer.Option("--files", help="Send the artifacts' own files too.")] = False,
    which: "Filter",
) -> None:
    """Write rows, with every picture's scores, to a file, or send them to an MLflow server."""
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
            told = f"{out}: {len(rows)} rows"
        else:
            from compress.ledger.to_mlflow import send
            from compress.progress import Progress

            told = str(send(rows, uri, experiment, files, Progress()))
    typer.echo(told)


@ledger.command("import")
def import_(
    sources: Annotated[list[Path], typer.Argument(metavar="FILE_OR_BUNDLE...", help="Exports, or bundles.")],
) -> None:
    """Add the rows of exports and bundles that are not there yet."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.exchange import read_rows
        from compress.ledger.record import bundle_measurements

        rows = [row for s in sources for row in (bundle_measurements(s) if s.is_dir() else read_rows(s))]
        opened = open_ledger()
        added = opened.append(rows)
    typer.echo(f"{opened.place}: {added} rows added, {len(rows) - added} were there")


@ledger.command()
def compare(a: SideArg, b: SideArg, as_json: JsonOption = False) -> None:
    """Hold B against A: every measure, an interval over the pictures, a verdict, the most changed pictures."""
    with results_only():
        from compress.ledger.compare.measures import compare as run

        result = run(a, b)
    show(result, as_json=as_json)


def check(
    bundle: Annotated[
        str | None, typer.Argument(help="Bundle or artifact; the ledger's newest run by default.")
    ] = None,
    against: Annotated[str, typer.Option(metavar="LEDGER_OR_BUNDLE", help="'ledger', or a bundle.")] = "ledger",
    max_psnr_drop: Annotated[float | None, typer.Option(help="In dB.")] = None,
    max_ssim_drop: Annotated[float | None, typer.Option(help="In SSIM.")] = None,
    max_lpips_rise: Annotated[float | None, typer.Option(help="In LPIPS.")] = None,
    max_slowdown: Annotated[float | None, typer.Option(help="Of the median latency, e.g. 1.1.")] = None,
    max_size_growth: Annotated[float | None, typer.Option(help="Of the bytes, e.g. 1.02.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write a Markdown summary here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fail, with 3, when a bundle is worse than its earlier rows by more than a limit."""
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


@filtered
def report(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE", help="Bundles; by default what the ledger holds.")
    ] = [],  # noqa: B006
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("report.html"),
    *,
    which: "Filter",
    limit: Annotated[int, typer.Option(min=1, help="Newest artifacts of the ledger to show.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="Show every artifact of the ledger.")] = False,
) -> None:
    """Write one page of bundles or of the ledger: frontiers per device, tables, pictures, errors."""
    with results_only():
        from compress.ledger.report import report as run

        result = run(bundles, which, None if every else limit, out)
    typer.echo(result)
