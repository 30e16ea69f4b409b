"""Commands that try many quantizations: `compress sensitivity` and `compress search`. No logic."""

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.options import AddressOption, PlotOption, RecipeArg, Sensitive, SetOption, StoreOption, progress
from compress.cli.output import JsonOption, show
from compress.cli.panels import MAKE, MEASURE

app = typer.Typer()


@app.command(rich_help_panel=MEASURE)
def sensitivity(
    recipe: RecipeArg,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Keep the measurements in this bundle's folder; by default runs/<recipe name>."
        ),
    ] = None,
    settings: SetOption = [],  # noqa: B006
    format_: Annotated[
        Sensitive | None,
        typer.Option(
            "--format", help="Quantize with the int8 scheme of this format; by default the recipe's first format."
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option(min=1, help="Use the centre of this many pictures of the first validation set.")
    ] = 4,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure stages only, not layers; takes a fraction of the time.")
    ] = False,
    plot: PlotOption = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Reuse earlier measurements, or start again from nothing.")
    ] = True,
    address: AddressOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how much quality is lost when only one stage or one layer is quantized.

    Example: compress sensitivity int8_sr --plot sensitivity.svg
    """
    with results_only():
        from compress.files import check_output
        from compress.pipeline.context import RunContext
        from compress.pipeline.inputs import node_facts
        from compress.pipeline.workers import workers_at
        from compress.recipe.load import load_recipe
        from compress.search.sensitivity import sensitivity as run

        if plot is not None:
            check_output(plot)
        chosen, loaded = format_.value if format_ else None, load_recipe(recipe, settings)
        with workers_at(address, node_facts) as workers:
            at_once = None if address is None else workers
            context = RunContext(loaded, out or Path("runs", loaded.name), progress(), resume=resume)
            result = run(context, chosen, pictures, at_once, store, quick=quick)
        if plot is not None:
            result.write_plot(plot)
    show(result, as_json=as_json)


@app.command(rich_help_panel=MAKE)
def search(
    recipe: RecipeArg,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Write the search to this folder; by default runs/<recipe name>/search."),
    ] = None,
    settings: SetOption = [],  # noqa: B006
    format_: Annotated[
        Sensitive | None,
        typer.Option(
            "--format",
            help="Search with the int8 scheme and files of this format; by default the recipe's first format.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Measure this many combinations; by default the recipe's search.trials.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this many minutes; by default the recipe's search.minutes.")
    ] = None,
    plot: PlotOption = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Reuse earlier measurements, or start again from nothing.")
    ] = True,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Use the recipe's finished student instead of training one.")
    ] = False,
    address: AddressOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose how many bits each layer's weights get under constraints, and write a recipe for each trade-off.

    Example: compress search mixed_sr --minutes 30
    """
    with results_only():
        from compress.files import check_output
        from compress.pipeline.context import RunContext
        from compress.pipeline.inputs import node_facts
        from compress.pipeline.workers import workers_at
        from compress.recipe.load import load_recipe
        from compress.search import search as run

        if plot is not None:
            check_output(plot)
        budget = [f"search.{k}={v}" for k, v in (("trials", trials), ("minutes", minutes)) if v is not None]
        chosen = format_.value if format_ else None
        loaded = load_recipe(recipe, [*settings, *budget])
        with workers_at(address, node_facts) as workers:
            at_once = None if address is None else workers
            folder = out or Path("runs", loaded.name, "search")
            context = RunContext(loaded, folder, progress(), resume=resume, reuse=reuse)
            result = run(context, recipe, chosen, at_once, store)
        if plot is not None:
            result.write_plot(plot)
    show(result, as_json=as_json)
    raise typer.Exit(result.exit_code)
