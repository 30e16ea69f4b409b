"""Commands around checkpoints: training, conversion, figures; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.options import (
    AddressOption,
    KStepsOption,
    RecipeArg,
    SetOption,
    SetsOption,
    SigmaOption,
    TaskOption,
    named,
    progress,
)
from compress.cli.output import JsonOption, show


def train(
    recipe: RecipeArg,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/<recipe name> by default.")] = None,
    settings: SetOption = [],  # noqa: B006
    fresh: Annotated[bool, typer.Option("--fresh", help="Start afresh instead of resuming.")] = False,
) -> None:
    """Train a model; resumes where it was stopped."""
    with results_only():
        from compress.recipe.load import load_training

        loaded = load_training(recipe, settings)
        from compress.elir.train.run import run_training

        checkpoint = run_training(loaded, out, fresh, progress(), recipe)
    if checkpoint is not None:  # in the first of several processes
        typer.echo(checkpoint)


def convert(
    source: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Any ELIR checkpoint, or a built-in name.")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="To write: .safetensors, .pth or .ckpt.")],
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
    task: TaskOption = None,
    float32: Annotated[bool, typer.Option("--float32", help="Write .safetensors in float32, not float16.")] = False,
    decoder_of: Annotated[
        Path | None, typer.Option(help="A checkpoint beside FILE whose decoder serves for both.")
    ] = None,
) -> None:
    """Convert a checkpoint between the published formats and ours."""
    with results_only():
        from compress.elir.convert import convert as run
        from compress.recipe.library import find

        if taken := run(find("weights", str(source)), target, k_steps, sigma_s, named(task), not float32, decoder_of):
            typer.echo(taken, err=True)
    typer.echo(target)


def profile(
    source: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Any ELIR checkpoint, or a built-in name.")],
    size: Annotated[list[int], typer.Option(help="Side of the picture, in px, repeatable; 128, 256, 512, 1024.")] = [],  # noqa: B006
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where a float model's parameters, multiplications, memory and time lie, by network and picture size."""
    with results_only():
        from compress.elir.profile import SIZES
        from compress.elir.profile import profile as run

        result = run(source, size or SIZES, progress(), k_steps, sigma_s)
    show(result, as_json=as_json)


def evaluate(
    source: Annotated[str, typer.Argument(metavar="MODEL_OR_ARTIFACT", help="Checkpoint, artifact or bundle.")],
    data: SetsOption,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Also write every picture's figures to this file.")] = None,
    metric: Annotated[
        list[str],
        typer.Option(
            metavar="NAME", help="Also compute this metric of pyiqa, for example fid or musiq (needs the extra iqa)."
        ),
    ] = [],  # noqa: B006
    task: TaskOption = None,
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
    shards: Annotated[int, typer.Option(min=1, help="Parts of each set, measured at once with --address.")] = 1,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the quality of a model or an artifact, beside its input's (for super-resolution: bicubic)."""
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


def card(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint to describe.")],
    data: SetsOption = ["photos_validation"],  # noqa: B006
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; stdout by default.")] = None,
    task: TaskOption = None,
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
) -> None:
    """Write the model card of a checkpoint, with its measured quality."""
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
