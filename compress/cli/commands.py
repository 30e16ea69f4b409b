"""The command line. No logic: each command imports its function when it runs, so that ``--help`` stays quick."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from compress.cli import ledger, model, search, supply
from compress.cli import sweep as sweep_cli
from compress.cli import targets as targets_cli
from compress.cli.guard import guard, results_only
from compress.cli.options import (
    BundleArg,
    KStepsOption,
    RecipeArg,
    ScaleOption,
    SetOption,
    SigmaOption,
    TaskOption,
    named,
    progress,
)
from compress.cli.output import JsonOption, show
from compress.python_process import leave_current_folder
from compress.surroundings import make_do

RESUMABLE = ("apply", "train", "search", "sweep", "sensitivity")


class GuardedGroup(TyperGroup):
    """Every command runs inside ``guard``."""

    def invoke(self, ctx: Any) -> Any:
        with guard(lambda: ctx.invoked_subcommand in RESUMABLE):
            return super().invoke(ctx)


app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compress trained ELIR image restorers to int8 OpenVINO, ONNX and ExecuTorch artifacts.",
)


class ListKind(StrEnum):
    """What `compress ls` lists."""

    recipes = "recipes"
    calibration = "calibration"
    targets = "targets"


class Schema(StrEnum):
    """What `compress schema` describes."""

    recipe = "recipe"
    calibration = "calibration"
    target = "target"
    train = "train"
    sweep = "sweep"


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda asked: _version() if asked else None)
    ] = False,
) -> None:
    pass


def _version() -> None:
    from compress import __version__

    typer.echo(f"elir-compress {__version__}")
    raise typer.Exit


@app.command()
def apply(
    recipe: RecipeArg,
    out: Annotated[Path | None, typer.Option(help="The bundle's folder; runs/<recipe name> by default.")] = None,
    settings: SetOption = [],  # noqa: B006 - Typer reads defaults, never changes them
    target: Annotated[list[str], typer.Option(help="Measure on this target instead of the recipe's.")] = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Reuse finished stages, or start afresh.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; do nothing.")] = False,
    reuse: Annotated[bool, typer.Option("--reuse", help="Take the recipe's finished student; train nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a recipe: compress, export, measure, and write a bundle."""
    # Read when torch is loaded. Otherwise its idle threads spin on the core that ExecuTorch's lowering has.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with results_only():
        from compress import apply as run

        result = run(recipe, out, overrides=settings, targets=target, resume=resume, dry_run=dry_run, reuse=reuse)
    show(result, as_json=as_json)
    for line in result.unavailable:
        typer.echo(line, err=True)
    raise typer.Exit(result.exit_code)


@app.command()
def validate(recipe: RecipeArg, settings: SetOption = []) -> None:  # noqa: B006
    """Check a recipe; print nothing but its name when it is right, and which weights are to fill in."""
    from compress.recipe.load import load_any
    from compress.recipe.published import to_fill_in

    loaded = load_any(recipe, settings)
    if message := to_fill_in(loaded.model.weights):
        typer.echo(f"model.weights is to be filled in: {message}", err=True)
    typer.echo(f"{loaded.name}: valid")


@app.command()
def restore(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Bundle, artifact, checkpoint or built-in weights.")],
    pictures: Annotated[list[Path], typer.Argument(metavar="IMAGE_OR_FOLDER...", help="Pictures to restore.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Picture or folder to write.")],
    tile: Annotated[
        int | None, typer.Option(min=0, help="Side of a tile, in px; 0: no tiles; default 256 or the artifact's.")
    ] = None,
    overlap: Annotated[int | None, typer.Option(min=0, help="Shared by neighbouring tiles, in px; default 64.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    task: TaskOption = None,
    scale: ScaleOption = None,
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
    frames: Annotated[bool, typer.Option("--frames", help="Restore every frame or page, not only the first.")] = False,
) -> None:
    """Restore pictures of any size."""
    with results_only():
        from compress.restore.open import Settings
        from compress.restore.pictures import restore_pictures

        settings = Settings(tile, overlap, seed, scale, k_steps, sigma_s, named(task))
        restore_pictures(source, pictures, out, settings, progress(), frames=frames)


@app.command()
def bench(
    bundle: BundleArg,
    target: Annotated[str, typer.Option(metavar="T", help="Deploy target to measure on.")],
    host: Annotated[
        str | None, typer.Option(help="The target's device, as ssh takes it; it is reached by ssh then.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a bundle's artifacts on a target: speed; over ssh, accuracy too; emulated, accuracy and instructions."""
    with results_only():
        from compress.pipeline.bench import bench as run

        result = run(bundle, target, progress(), host)
    show(result, as_json=as_json)
    for line in (result.why, *result.missed):
        if line:
            typer.echo(line, err=True)
    raise typer.Exit(result.exit_code)


@app.command()
def verify(
    bundle: BundleArg,
    key: Annotated[Path | None, typer.Option(help="Public Ed25519 key, PEM: the bundle must be signed by it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle: every file's hash, and each artifact's output against the model's."""
    with results_only():
        from compress.bundle.verify import verify as run

        if key is not None:
            from compress.bundle.sign import check_signature

            check_signature(bundle, key)
        report = run(bundle, progress())
    show(report, as_json=as_json)


@app.command()
def schema(kind: Annotated[Schema, typer.Argument(help="Which YAML file.")] = Schema.recipe) -> None:
    """Print the JSON Schema of a YAML file."""
    import json

    from compress.recipe.calibration_set import CalibrationSet
    from compress.recipe.schema import DeployTarget, Recipe
    from compress.recipe.strict import Strict
    from compress.recipe.train import TrainRecipe
    from compress.sweep.schema import Sweep

    models: dict[str, type[Strict]] = {
        "recipe": Recipe,
        "calibration": CalibrationSet,
        "target": DeployTarget,
        "train": TrainRecipe,
        "sweep": Sweep,
    }
    typer.echo(json.dumps(models[kind].model_json_schema(), indent=2))


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine has, and what it lacks."""
    with results_only():
        from compress.cli.doctor import Findings

        findings = Findings.of_this_machine(progress())
    show(findings, as_json=as_json)


@app.command("ls")
def list_(kind: Annotated[ListKind, typer.Argument(help="Which built-in files.")]) -> None:
    """List the built-in recipes, calibration sets or deploy targets."""
    from compress.recipe.library import describe

    for name, description in describe(kind.value):
        typer.echo(f"{name:24} {description}".rstrip())


for command in (model.train, model.convert, model.profile, model.evaluate, model.card):
    app.command()(command)
app.command()(search.sensitivity)
app.command()(search.search)
app.add_typer(ledger.ledger, name="ledger")
app.add_typer(targets_cli.targets, name="targets")
app.command()(sweep_cli.sweep)
app.command()(targets_cli.demo)
app.command()(supply.sign)
app.command()(supply.sbom)
app.command()(ledger.compare)
app.command()(ledger.check)
app.command()(ledger.report)


def main() -> None:
    """Entry of the scripts ``compress`` and ``elir-compress``."""
    make_do()
    leave_current_folder()
    app(prog_name="compress")
