"""The commands around the ledger: `compress ledger ...`, `compare`, `check`. No logic; see ``cli``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.guard import results_only
from compress.showing import JsonOption, show

if TYPE_CHECKING:
    from compress.ledger import Filter

ledger = typer.Typer(no_args_is_help=True, help="What was measured over time: list, frontiers, export, import.")

TargetOption = Annotated[str | None, typer.Option(help="Only rows of this deploy target.")]
TaskOption = Annotated[str | None, typer.Option(help="Only rows of this task, e.g. sr_x4.")]
RecipeOption = Annotated[str | None, typer.Option(help="Only rows of the recipe of this name.")]
ArtifactOption = Annotated[str | None, typer.Option(help="Only rows of this artifact, e.g. openvino-int8.")]
DatasetOption = Annotated[str | None, typer.Option(help="Only rows that this data set judged.")]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help="From then on: 2026-11-23, or 7d, 12h, 2w ago.")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")]
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


@ledger.command("ls")
def list_(
    target: TargetOption = None,
    task: TaskOption = None,
    recipe: RecipeOption = None,
    artifact: ArtifactOption = None,
    dataset: DatasetOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=0, help="Newest rows to list; 0: all.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List rows, newest first."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.listing import Listing

        which = _filter(target, task, recipe, artifact, dataset, since, until)
        opened = open_ledger()
        result = Listing(opened.place, opened.count(which), opened.rows(which, limit or None))
    show(result, as_json)


@ledger.command("show")
def show_(
    row: Annotated[str, typer.Argument(metavar="ROW", help="Beginning of the row's id, 6 digits or more.")],
    as_json: JsonOption = False,
) -> None:
    """Show every field of one row."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.listing import Shown

        result = Shown(open_ledger().row(row))
    show(result, as_json)


@ledger.command()
def pareto(
    x: Annotated[Cost, typer.Option(help="Cost.")] = Cost.latency_p50_ms,
    y: Annotated[Quality, typer.Option(help="Quality.")] = Quality.psnr_db,
    target: TargetOption = None,
    task: TaskOption = None,
    recipe: RecipeOption = None,
    artifact: ArtifactOption = None,
    dataset: DatasetOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show, per device, the artifacts that no other beats in both cost and quality."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.pareto import pareto as run

        which = _filter(target, task, recipe, artifact, dataset, since, until)
        result = run(open_ledger(), x.value, y.value, which)
    show(result, as_json)


@ledger.command("export")
def export_(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="To write: .json, .csv or .parquet.")],
    target: TargetOption = None,
    task: TaskOption = None,
    recipe: RecipeOption = None,
    artifact: ArtifactOption = None,
    dataset: DatasetOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Write rows, with every picture's scores, to a file."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.exchange import write_rows

        which = _filter(target, task, recipe, artifact, dataset, since, until)
        rows = open_ledger().rows(which, pictures=True)
        write_rows(rows, out)
    typer.echo(f"{out}: {len(rows)} rows")


@ledger.command("import")
def import_(
    sources: Annotated[list[Path], typer.Argument(metavar="FILE_OR_BUNDLE...", help="Exports, or bundles.")],
) -> None:
    """Add the rows of exports and bundles that are not there yet."""
    with results_only():
        from compress.ledger import open_ledger
        from compress.ledger.exchange import read_rows
        from compress.recording import bundle_measurements

        rows = [row for s in sources for row in (bundle_measurements(s) if s.is_dir() else read_rows(s))]
        opened = open_ledger()
        added = opened.append(rows)
    typer.echo(f"{opened.place}: {added} rows added, {len(rows) - added} were there")


@ledger.command()
def compare(a: SideArg, b: SideArg, as_json: JsonOption = False) -> None:
    """Hold B against A: every measure, an interval over the pictures, a verdict, the most changed pictures."""
    with results_only():
        from compress.comparison.compare import compare as run

        result = run(a, b)
    show(result, as_json)


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
        from compress.comparison.check import Limits
        from compress.comparison.check import check as run

        limits = Limits(max_psnr_drop, max_ssim_drop, max_lpips_rise, max_slowdown, max_size_growth)
        result = run(bundle, against, limits)
        result.write(junit, markdown)
    show(result, as_json)
    raise typer.Exit(result.exit_code)


def report(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE", help="Bundles; by default what the ledger holds.")
    ] = [],  # noqa: B006
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("report.html"),
    target: TargetOption = None,
    task: TaskOption = None,
    recipe: RecipeOption = None,
    artifact: ArtifactOption = None,
    dataset: DatasetOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=0, help="Newest artifacts of the ledger to show; 0: all.")] = 50,
) -> None:
    """Write one page of bundles or of the ledger: frontiers per device, tables, pictures, errors."""
    with results_only():
        from compress.reporting import report as run

        result = run(bundles, _filter(target, task, recipe, artifact, dataset, since, until), limit, out)
    typer.echo(result)


def _filter(
    target: str | None,
    task: str | None,
    recipe: str | None,
    artifact: str | None,
    dataset: str | None,
    since: str | None,
    until: str | None,
) -> "Filter":
    from datetime import UTC, datetime

    from compress.ledger import Filter
    from compress.ledger.when import moment

    now = datetime.now(UTC)
    times = (None if text is None else moment(text, now) for text in (since, until))
    return Filter(target, task, recipe, artifact, dataset, None, *times)
