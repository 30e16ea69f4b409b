"""Commands that try many quantizations: `compress sensitivity`, `search`; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.options import AddressOption, RecipeArg, Sensitive, SetOption, StoreOption, progress
from compress.cli.output import JsonOption, show


def sensitivity(
    recipe: RecipeArg,
    out: Annotated[Path | None, typer.Option(help="The bundle's folder; runs/<recipe name> by default.")] = None,
    settings: SetOption = [],  # noqa: B006
    format_: Annotated[
        Sensitive | None, typer.Option("--format", help="Whose int8 scheme; by default the recipe's first.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, help="Of the first validation set, their middles.")] = 4,
    plot: Annotated[Path | None, typer.Option(help="Also draw every layer's share of the error, as SVG.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Reuse what was measured, or start afresh.")] = True,
    address: AddressOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what each stage and each layer of a model loses when it alone is quantized."""
    with results_only():
        from compress.files import check_output
        from compress.pipeline.inputs import node_facts
        from compress.pipeline.workers import workers_at
        from compress.recipe.load import load_recipe
        from compress.search.sensitivity import sensitivity as run

        if plot is not None:
            check_output(plot)
        chosen, loaded = format_.value if format_ else None, load_recipe(recipe, settings)
        with workers_at(address, node_facts) as workers:
            at_once = None if address is None else workers
            result = run(loaded, out, chosen, pictures, resume, progress(), at_once, store)
        if plot is not None:
            result.write_plot(plot)
    show(result, as_json=as_json)


def search(
    recipe: RecipeArg,
    out: Annotated[Path | None, typer.Option(help="The search's folder; runs/<recipe name>/search by default.")] = None,
    settings: SetOption = [],  # noqa: B006
    format_: Annotated[
        Sensitive | None, typer.Option("--format", help="Whose int8 scheme and files; by default the recipe's first.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Combinations measured; the recipe's search.trials.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Of this run; the recipe's search.minutes.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw everything tried, as SVG.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Reuse what was measured, or start afresh.")] = True,
    reuse: Annotated[bool, typer.Option("--reuse", help="Take the recipe's finished student; train nothing.")] = False,
    address: AddressOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the bits of every layer's weights under constraints; write a recipe for each trade-off."""
    with results_only():
        from compress.files import check_output
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
            result = run(loaded, recipe, out, chosen, resume, progress(), reuse, at_once, store)
        if plot is not None:
            result.write_plot(plot)
    show(result, as_json=as_json)
    raise typer.Exit(result.exit_code)
