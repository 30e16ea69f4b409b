"""Commands around checkpoints: training, conversion, figures; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from compress.cli_options import AddressOption, RecipeArg, SetOption, SetsOption, progress
from compress.guard import results_only
from compress.showing import JsonOption, show


def train(
    recipe: RecipeArg,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/<recipe name> by default.")] = None,
    settings: SetOption = [],  # noqa: B006
    fresh: Annotated[bool, typer.Option("--fresh", help="Start afresh instead of resuming.")] = False,
) -> None:
    """Train a model; resumes where it was stopped."""
    with results_only():
        from compress.library import find
        from compress.recipe import load_model
        from compress.training_schema import TrainRecipe

        loaded = load_model(TrainRecipe, find("recipes", recipe), settings)
        from compress.training import run_training

        checkpoint = run_training(loaded, out, fresh, progress())
    if checkpoint is not None:  # in the first of several processes
        typer.echo(checkpoint)


def convert(
    source: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Any ELIR checkpoint, or a built-in name.")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="To write: .safetensors, .pth or .ckpt.")],
    k_steps: Annotated[int | None, typer.Option(help="Euler steps, where the checkpoint does not tell.")] = None,
    sigma_s: Annotated[float | None, typer.Option(help="Source noise, where the checkpoint does not tell.")] = None,
    task: Annotated[str | None, typer.Option(help="Task, where the checkpoint does not tell, e.g. sr_x4.")] = None,
    float32: Annotated[bool, typer.Option("--float32", help="Write .safetensors in float32, not float16.")] = False,
    decoder_of: Annotated[
        Path | None, typer.Option(help="A checkpoint beside FILE whose decoder serves for both.")
    ] = None,
) -> None:
    """Convert a checkpoint between the published formats and ours."""
    with results_only():
        from compress.elir.convert import convert as run
        from compress.library import find

        run(find("weights", str(source)), target, k_steps, sigma_s, task, not float32, decoder_of)
    typer.echo(target)


def profile(
    source: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Any ELIR checkpoint, or a built-in name.")],
    size: Annotated[list[int], typer.Option(help="Side of the picture, in px, repeatable; 128, 256, 512, 1024.")] = [],  # noqa: B006
    k_steps: Annotated[int | None, typer.Option(help="Euler steps, where the checkpoint does not tell.")] = None,
    sigma_s: Annotated[float | None, typer.Option(help="Source noise, where the checkpoint does not tell.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say where a float model's parameters, multiplications, memory and time lie, by network and picture size."""
    with results_only():
        from compress.profiling import SIZES
        from compress.profiling import profile as run

        result = run(source, size or SIZES, progress(), k_steps, sigma_s)
    show(result, as_json)


def evaluate(
    source: Annotated[str, typer.Argument(metavar="MODEL_OR_ARTIFACT", help="Checkpoint, artifact or bundle.")],
    data: SetsOption,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Also write every picture's figures to this file.")] = None,
    metric: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="Also this measure of pyiqa, e.g. fid, musiq; needs elir-compress[iqa]."),
    ] = [],  # noqa: B006
    shards: Annotated[int, typer.Option(min=1, help="Parts of each set, measured at once with --address.")] = 1,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the quality of a model or an artifact, beside its input's (for super-resolution: bicubic)."""
    with results_only():
        from compress.engine import engine_at
        from compress.evaluation import evaluate as run
        from compress.files import check_writable
        from compress.plan import node_facts

        if csv is not None:
            check_writable(csv)
        with engine_at(address, node_facts) as engine:
            result = run(source, data, seed, progress(), metrics=metric, shards=shards, engine=engine)
    # Shown first: a full disk, or a picture that failed, must not cost the figures.
    show(result, as_json)
    if csv is not None:
        result.write_csv(csv)
    result.raise_failed()


def card(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint to describe.")],
    data: SetsOption = ["photos_validation"],  # noqa: B006
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; stdout by default.")] = None,
) -> None:
    """Write the model card of a checkpoint, with its measured quality."""
    with results_only():
        from compress.card import model_card
        from compress.files import write_text

        text = model_card(checkpoint, data, progress())
        if out is not None:
            write_text(out, text)
    typer.echo(text if out is None else out)
