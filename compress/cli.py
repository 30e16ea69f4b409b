"""The command line. No logic: each command imports its function when it runs, so that ``--help`` stays quick."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from compress import ledger_cli, supply_cli, sweep_cli, targets_cli
from compress.guard import guard, results_only
from compress.showing import JsonOption, show

if TYPE_CHECKING:
    from compress.progress import Progress


class Guarded(TyperGroup):
    """Every command runs inside ``guard``."""

    def invoke(self, ctx: Any) -> Any:
        resumable = bool({*getattr(ctx, "_protected_args", ()), *ctx.args} & {"apply", "train", "search", "sweep"})
        with guard(resumable):
            return super().invoke(ctx)


app = typer.Typer(
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compress trained ELIR image restorers to int8 OpenVINO, ONNX and ExecuTorch artifacts.",
)


class Listed(StrEnum):
    """What `compress ls` lists."""

    recipes = "recipes"
    calibration = "calibration"
    targets = "targets"


class Sensitive(StrEnum):
    """Formats whose int8 scheme `compress sensitivity` knows."""

    openvino = "openvino"
    onnx = "onnx"
    executorch = "executorch"


class Schema(StrEnum):
    """What `compress schema` describes."""

    recipe = "recipe"
    calibration = "calibration"
    target = "target"
    train = "train"
    sweep = "sweep"


RecipeArg = Annotated[str, typer.Argument(metavar="RECIPE", help="Built-in name, or path of a YAML file.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. model.image_size=128.")
]
BundleArg = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `compress apply` wrote.")]
SetsOption = Annotated[
    list[str], typer.Option("--data", metavar="SET", help="Calibration set, its file, or a folder of pictures.")
]


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=lambda v: _version(v))] = False,
) -> None:
    pass


def _version(asked: bool) -> None:
    if asked:
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
    show(result, as_json)
    for line in result.unavailable:
        typer.echo(line, err=True)
    raise typer.Exit(result.exit_code)


@app.command()
def validate(recipe: RecipeArg, settings: SetOption = []) -> None:  # noqa: B006
    """Check a recipe; print nothing but its name when it is right."""
    from compress.recipe import load_any

    typer.echo(f"{load_any(recipe, settings).name}: valid")


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
) -> None:
    """Restore pictures of any size."""
    with results_only():
        from compress.restoring import restore_pictures

        restore_pictures(source, pictures, out, tile, overlap, seed, _progress())


@app.command()
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

        checkpoint = run_training(loaded, out, fresh, _progress())
    if checkpoint is not None:  # in the first of several processes
        typer.echo(checkpoint)


@app.command()
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


@app.command()
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

        result = run(source, size or SIZES, _progress(), k_steps, sigma_s)
    show(result, as_json)


@app.command()
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
    address: sweep_cli.AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the quality of a model or an artifact, beside its input's (for super-resolution: bicubic)."""
    with results_only():
        from compress.engine import engine_at
        from compress.evaluation import evaluate as run
        from compress.plan import node_facts

        with engine_at(address, node_facts) as engine:
            result = run(source, data, seed, _progress(), metrics=metric, shards=shards, engine=engine)
        if csv is not None:
            result.write_csv(csv)
    show(result, as_json)


@app.command()
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
    address: sweep_cli.AddressOption = None,
    store: sweep_cli.StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what each stage and each layer of a model loses when it alone is quantized."""
    with results_only():
        from compress.engine import engine_at
        from compress.plan import node_facts
        from compress.recipe import load_recipe
        from compress.sensitivity import sensitivity as run

        chosen, loaded = format_.value if format_ else None, load_recipe(recipe, settings)
        with engine_at(address, node_facts) as engine:
            at_once = None if address is None else engine
            result = run(loaded, out, chosen, pictures, resume, _progress(), at_once, store)
        if plot is not None:
            result.write_plot(plot)
    show(result, as_json)


@app.command()
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
    as_json: JsonOption = False,
) -> None:
    """Choose the bits of every layer's weights under constraints; write a recipe for each trade-off."""
    with results_only():
        from compress.recipe import load_recipe
        from compress.search import search as run

        budget = [f"search.{k}={v}" for k, v in (("trials", trials), ("minutes", minutes)) if v is not None]
        chosen = format_.value if format_ else None
        loaded = load_recipe(recipe, [*settings, *budget])
        result = run(loaded, recipe, out, chosen, resume, _progress(), reuse)
        if plot is not None:
            result.write_plot(plot)
    show(result, as_json)
    raise typer.Exit(result.exit_code)


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
        from compress.pipeline import bench as run

        result = run(bundle, target, _progress(), host)
    show(result, as_json)
    for line in (result.why, *result.missed):
        if line:
            typer.echo(line, err=True)
    raise typer.Exit(result.exit_code)


@app.command()
def card(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint to describe.")],
    data: SetsOption = ["photos_validation"],  # noqa: B006
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; stdout by default.")] = None,
) -> None:
    """Write the model card of a checkpoint, with its measured quality."""
    with results_only():
        from compress.card import model_card
        from compress.files import write_text

        text = model_card(checkpoint, data, _progress())
        if out is not None:
            write_text(out, text)
    typer.echo(text if out is None else out)


@app.command()
def verify(
    bundle: BundleArg,
    key: Annotated[Path | None, typer.Option(help="Public Ed25519 key, PEM: the bundle must be signed by it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle: every file's hash, and each artifact's output against the model's."""
    with results_only():
        from compress.bundle import verify as run

        if key is not None:
            from compress.signing import check_signature

            check_signature(bundle, key)
        report = run(bundle, _progress())
    show(report, as_json)


@app.command()
def schema(kind: Annotated[Schema, typer.Argument(help="Which YAML file.")] = Schema.recipe) -> None:
    """Print the JSON Schema of a YAML file."""
    import json

    from compress.schema import CalibrationSet, DeployTarget, Recipe, Strict
    from compress.sweep.sweep_file import Sweep
    from compress.training_schema import TrainRecipe

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
        from compress.doctor import Findings

        findings = Findings.of_this_machine()
    show(findings, as_json)


@app.command("ls")
def list_(kind: Annotated[Listed, typer.Argument(help="Which built-in files.")]) -> None:
    """List the built-in recipes, calibration sets or deploy targets."""
    from compress.library import describe

    for name, description in describe(kind.value):
        typer.echo(f"{name:24} {description}".rstrip())


app.add_typer(ledger_cli.ledger, name="ledger")
app.add_typer(targets_cli.targets, name="targets")
app.command()(sweep_cli.sweep)
app.command()(targets_cli.demo)
app.command()(supply_cli.sign)
app.command()(supply_cli.sbom)
app.command()(ledger_cli.compare)
app.command()(ledger_cli.check)
app.command()(ledger_cli.report)


def _progress() -> "Progress":
    from compress.progress import Progress

    return Progress()


def main() -> None:
    """Entry of the scripts ``compress`` and ``elir-compress``."""
    app(prog_name="compress")
