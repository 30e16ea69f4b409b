"""Commands on checkpoints: training, conversion, quality, size and time. No logic."""

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.options import (
    AddressOption,
    KStepsOption,
    RecipeArg,
    SeedOption,
    SetOption,
    SetsOption,
    SigmaOption,
    TaskOption,
    named,
    progress,
)
from compress.cli.output import JsonOption, say, show
from compress.cli.panels import MAKE, MEASURE

app = typer.Typer()


@app.command(rich_help_panel=MAKE)
def train(
    recipe: RecipeArg,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the run to this folder; by default runs/<recipe name>.")
    ] = None,
    settings: SetOption = [],  # noqa: B006
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start again from nothing instead of resuming the run.")
    ] = False,
) -> None:
    """Train a model, or resume a training run that was stopped.

    Example: compress train train_sr_x4
    """
    with results_only():
        from compress.recipe.load import load_training

        loaded = load_training(recipe, settings)
        from compress.elir.train.run import run_training

        checkpoint = run_training(loaded, out, fresh=fresh, progress=progress(), source=recipe)
    if checkpoint is not None:  # in the first of several processes
        typer.echo(checkpoint)


@app.command(rich_help_panel=MAKE)
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Path of an ELIR checkpoint, or the name of a built-in model.")
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Write this file; its suffix (.safetensors, .pth or .ckpt) chooses the format."
        ),
    ],
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
    task: TaskOption = None,
    float32: Annotated[
        bool, typer.Option("--float32", help="Write .safetensors in float32 instead of float16.")
    ] = False,
    decoder_of: Annotated[
        Path | None,
        typer.Option(help="Leave the decoder out of FILE, and use the decoder of this checkpoint in the same folder."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it already exists.")] = False,
) -> None:
    """Convert a checkpoint between the published formats and this program's own format.

    Example: compress convert mine.ckpt mine.safetensors --task sr_x4 --k-steps 3 --sigma-s 0.1
    """
    with results_only():
        from compress.elir.convert import convert as run
        from compress.files import check_new
        from compress.recipe.library import find

        check_new(target, overwrite=overwrite)
        path, half = find("weights", str(source)), not float32
        say(run(path, target, k_steps, sigma_s, named(task), half=half, decoder_of=decoder_of).splitlines())
    typer.echo(target)


@app.command(rich_help_panel=MEASURE)
def profile(
    source: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Path of an ELIR checkpoint, or the name of a built-in model.")
    ],
    size: Annotated[
        list[int], typer.Option(help="Profile a square picture of this side in px; by default 128, 256, 512 and 1024.")
    ] = [],  # noqa: B006
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report a float model's parameters, multiplications, memory and time, per network and picture size.

    Example: compress profile elir_sr_x4 --size 256
    """
    with results_only():
        from compress.elir.profile import SIZES
        from compress.elir.profile import profile as run

        result = run(source, size or SIZES, progress(), k_steps, sigma_s)
    show(result, as_json=as_json)


@app.command(rich_help_panel=MEASURE)
def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_ARTIFACT", help="Evaluate this checkpoint, built-in model, artifact or bundle."
        ),
    ],
    data: SetsOption,
    seed: SeedOption = 0,
    csv: Annotated[Path | None, typer.Option(help="Also write the scores of every picture to this CSV file.")] = None,
    metric: Annotated[
        list[str],
        typer.Option(
            metavar="NAME", help="Also compute this metric of pyiqa, for example fid or musiq (needs the extra iqa)."
        ),
    ] = [],  # noqa: B006
    task: TaskOption = None,
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
    shards: Annotated[
        int,
        typer.Option(min=1, help="Split each set into this many parts; with --address, measure them in parallel."),
    ] = 1,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the quality of the pictures that a model or an artifact restores, and of its input.

    For super-resolution, the input is the bicubic enlargement of the small picture.

    Example: compress evaluate elir_sr_x4 --data photos_validation
    """
    with results_only():
        from compress.files import check_output
        from compress.pipeline.inputs import node_facts
        from compress.pipeline.workers import workers_at
        from compress.restore.evaluate import evaluate as run
        from compress.restore.figures import JudgeOptions
        from compress.restore.open import Settings

        if csv is not None:
            check_output(csv)
        with workers_at(address, node_facts) as workers:
            settings = Settings(seed=seed, k_steps=k_steps, sigma_s=sigma_s, task=named(task))
            result = run(source, data, JudgeOptions(settings, tuple(metric)), progress(), shards, workers)
    # Shown first: a full disk, or a picture that failed, must not cost the figures.
    show(result, as_json=as_json)
    if csv is not None:
        result.write_csv(csv)
    result.raise_failed()


@app.command(rich_help_panel=MEASURE)
def card(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="Path of the checkpoint to describe, or the name of a built-in model."
        ),
    ],
    data: SetsOption = ["photos_validation"],  # noqa: B006
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write to this file; by default to stdout.")] = None,
    task: TaskOption = None,
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
) -> None:
    """Write the model card of a checkpoint, with its measured quality.

    Example: compress card elir_sr_x4 --data photos_validation -o card.md
    """
    with results_only():
        from compress.files import check_output, write_text
        from compress.restore.card import model_card
        from compress.restore.open import Settings

        if out is not None:
            check_output(out, [checkpoint])
        settings = Settings(k_steps=k_steps, sigma_s=sigma_s, task=named(task))
        text = model_card(checkpoint, data, settings, progress())
        if out is not None:
            write_text(out, text)
    typer.echo(text if out is None else out)
