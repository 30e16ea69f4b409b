"""The command line. No logic: each command imports its function when it runs, so that ``--help`` stays quick."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from compress.cli import ledger, model, search, supply, sweep, targets
from compress.cli.guard import guard, results_only
from compress.cli.options import (
    BundleArg,
    KStepsOption,
    RecipeArg,
    ScaleOption,
    SeedOption,
    SetOption,
    SigmaOption,
    TaskOption,
    built_in,
    named,
    one_of,
    progress,
)
from compress.cli.output import JsonOption, say, show
from compress.cli.panels import COMPARE, DATA, DEVICES, MAKE, MEASURE, PANELS
from compress.cli.watch import run_watched
from compress.progress import say_last
from compress.python_process import leave_current_folder
from compress.surroundings import NO_CURRENT_FOLDER, has_current_folder, make_do

if TYPE_CHECKING:
    from compress.recipe.library import Kind

YAML_KINDS = ["recipe", "calibration", "target", "train", "sweep"]
LISTS = ["recipes", "calibration", "targets", "models"]
RESUMABLE = ("apply", "train", "search", "sweep", "sensitivity")


def _without_types_of_flags(parameters: list[Any]) -> list[Any]:
    """Options that take no value, shown without one: Typer writes `<bool>` behind each."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


class GuardedGroup(TyperGroup):
    """Every command runs inside ``guard``; `--help` lists the commands by panel."""

    def invoke(self, ctx: Any) -> Any:
        with guard(lambda: ctx.invoked_subcommand in RESUMABLE):
            return super().invoke(ctx)

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types_of_flags(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        for part in () if command is None else (command, *getattr(command, "commands", {}).values()):
            _without_types_of_flags(part.get_params(ctx))
        return command

    def list_commands(self, ctx: Any) -> list[str]:
        commands: Mapping[str, Any] = self.commands  # with what Typer adds to a command
        return sorted(commands, key=lambda name: PANELS.index(commands[name].rich_help_panel))


app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compress trained ELIR image-restoration models to int8 OpenVINO, ONNX and ExecuTorch artifacts.\n\n"
    "Example: compress apply int8_sr",
)


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=lambda asked: _version() if asked else None,
        ),
    ] = False,
) -> None:
    pass


def _version() -> None:
    from compress import __version__

    typer.echo(f"elir-compress {__version__}")
    raise typer.Exit


@app.command(rich_help_panel=MAKE)
def apply(
    recipe: RecipeArg,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the bundle to this folder; by default runs/<recipe name>.")
    ] = None,
    settings: SetOption = [],  # noqa: B006 - Typer reads defaults, never changes them
    target: Annotated[
        list[str],
        typer.Option(
            help="Measure on this target instead of the recipe's targets.", autocompletion=built_in("targets")
        ),
    ] = [],  # noqa: B006
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Reuse finished stages, or start again from nothing.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")] = False,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Use the recipe's finished student instead of training one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a recipe: compress a model, export it, measure it, and write a bundle.

    Example: compress apply int8_sr --out runs/first
    """
    # Read when torch is loaded. Otherwise its idle threads spin on the core that ExecuTorch's lowering has.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with results_only():
        from compress import apply as run
        from compress.pipeline.advice import advice, goals_without_target
        from compress.pipeline.result import ApplyResult

        result = run(recipe, out, overrides=settings, targets=target, resume=resume, dry_run=dry_run, reuse=reuse)
    show(result, as_json=as_json)
    if isinstance(result, ApplyResult):
        more = advice(result.missed, result.unmeasured)
    else:
        more = [*filter(None, (result.refused, goals_without_target(result.context.recipe)))]
    say([*result.unavailable, *more])
    raise typer.Exit(result.exit_code)


@app.command(rich_help_panel=DATA)
def validate(
    file: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="Recipe, or any other kind of YAML file that `compress schema` describes.",
            autocompletion=built_in("recipes"),
        ),
    ],
    settings: SetOption = [],  # noqa: B006
) -> None:
    """Check a recipe, sweep, data set or deploy target, and list the mistakes in it.

    Example: compress validate mine.yaml
    """
    from compress.cli.yaml_kinds import check_file

    name, notes = check_file(file, settings)
    say(notes)
    typer.echo(f"{name}: valid")


@app.command(rich_help_panel=MAKE)
def restore(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Restore with this bundle, artifact, checkpoint or built-in model.")
    ],
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE_OR_FOLDER...", help="Restore these pictures, and the pictures in these folders."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="If OUT has a suffix, write one picture to OUT. Otherwise OUT is a folder: each picture becomes "
            "NAME.png in it, in the same subfolders as its source; pictures that share a NAME there become "
            "NAME.SUFFIX.png.",
        ),
    ],
    tile: Annotated[
        int | None,
        typer.Option(
            min=0, help="Side of a tile in px, or 0 for no tiles; by default 256, or the artifact's own size."
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Overlap of neighbouring tiles in px; by default 64, or the tile's shorter side minus 32 if less.",
        ),
    ] = None,
    seed: SeedOption = 0,
    task: TaskOption = None,
    scale: ScaleOption = None,
    k_steps: KStepsOption = None,
    sigma_s: SigmaOption = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Restore every frame or page of a picture, not only the first.")
    ] = False,
) -> None:
    """Restore pictures of any size.

    Example: compress restore elir_sr_x4 photo.jpg -o photo_x4.png
    """
    with results_only():
        from compress.restore.open import Settings
        from compress.restore.pictures import restore_pictures

        settings = Settings(tile, overlap, seed, scale, k_steps, sigma_s, named(task))
        restore_pictures(source, pictures, out, settings, progress(), frames=frames)


@app.command(rich_help_panel=MEASURE)
def bench(
    bundle: BundleArg,
    target: Annotated[
        list[str],
        typer.Option(
            metavar="T",
            help="Measure on this deploy target; by default on the targets of the bundle's recipe.",
            autocompletion=built_in("targets"),
        ),
    ] = [],  # noqa: B006
    host: Annotated[
        str | None, typer.Option(help="Reach the target's device over ssh at this name or address.")
    ] = None,
    share: Annotated[
        Path | None,
        typer.Option(
            help="Also write the times to this new .json file, signed and without your names, to share with others."
        ),
    ] = None,
    throughput: Annotated[
        bool,
        typer.Option(
            "--throughput",
            help="Also restore a whole picture and a clip of 640 x 360 px with each artifact, as `restore` does: "
            "reports megapixels per second, memory and energy. Takes minutes, and says how many.",
        ),
    ] = False,
    megapixels: Annotated[
        float | None,
        typer.Option(
            metavar="MP", help="With --throughput: size of the restored picture in megapixels; by default 12."
        ),
    ] = None,
    clip_frames: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="With --throughput: number of frames in the clip, by default 2; 0 leaves the clip out."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a bundle's artifacts on deploy targets.

    A target on this machine gives the speed; one reached over ssh, the speed and the accuracy; an emulated one, the
    accuracy and the number of instructions.

    Example: compress bench runs/int8_sr --target x86-openvino
    """
    with results_only():
        from compress.ledger.share import Sharing
        from compress.restore.whole_pictures import bench_whole, throughput_of

        what = throughput_of(megapixels, clip_frames, asked=throughput)
        sharing = None if share is None else Sharing(share)
        result = bench_whole(bundle, target, what, progress(), host)
    show(result, as_json=as_json)
    say(result.messages)
    timed = any(entry.latency_ms for entry in result.performance)
    if sharing is not None and (timed or not result.exit_code):
        say([sharing.write(bundle, result.performance)])
    raise typer.Exit(result.exit_code)


@app.command(rich_help_panel=DATA)
def verify(
    bundle: BundleArg,
    key: Annotated[
        Path | None, typer.Option(help="Also check the bundle's signature with this public Ed25519 key (PEM).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle: the hash of every file, and each artifact's output against the model's.

    Example: compress verify runs/int8_sr
    """
    with results_only():
        from compress.bundle.verify import verify as run

        report = run(bundle, progress(), key)
    show(report, as_json=as_json)


@app.command(rich_help_panel=DATA)
def schema(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="|".join(YAML_KINDS),
            help="Kind of YAML file to describe.",
            callback=one_of(YAML_KINDS),
            autocompletion=lambda: YAML_KINDS,
        ),
    ] = "recipe",
) -> None:
    """Print the JSON Schema of a kind of YAML file.

    Example: compress schema target
    """
    import json

    from compress.cli.yaml_kinds import SCHEMAS

    typer.echo(json.dumps(SCHEMAS[kind].model_json_schema(), indent=2))


@app.command(rich_help_panel=DEVICES)
def doctor(as_json: JsonOption = False) -> None:
    """Report what this machine has and what it lacks: runtimes, extras, CPU features, memory and disk space.

    Example: compress doctor
    """
    with results_only():
        from compress.cli.doctor import Findings

        findings = Findings.of_this_machine(progress())
    show(findings, as_json=as_json)


@app.command("ls", rich_help_panel=DATA)
def list_(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="|".join(LISTS),
            help="Kind of built-in files to list.",
            callback=one_of(LISTS),
            autocompletion=lambda: LISTS,
        ),
    ],
) -> None:
    """List the built-in recipes, calibration sets, deploy targets or models.

    Example: compress ls recipes
    """
    if kind == "models":
        from compress.elir.metadata import models

        listed = models()
    else:
        from compress.recipe.library import describe

        listed = describe(cast("Kind", kind))
    width = max(len(name) for name, _ in listed)
    for name, description in listed:
        typer.echo(f"{name:{width}}  {description}".rstrip())


for group in (model, search, sweep, ledger, targets, supply):
    app.add_typer(group.app)
app.add_typer(ledger.ledger, name="ledger", rich_help_panel=COMPARE)
app.add_typer(targets.targets, name="targets", rich_help_panel=DEVICES)


def main() -> None:
    """Entry of the scripts ``compress`` and ``elir-compress``."""
    make_do()
    if not has_current_folder():
        say_last(NO_CURRENT_FOLDER)
        sys.exit(2)
    leave_current_folder()
    # Shells complete the name that was typed: where `compress` is the old Unix tool, only `elir-compress` is ours.
    name = "elir-compress" if Path(sys.argv[0]).stem == "elir-compress" else "compress"
    run_watched(sys.argv[1:], partial(app, prog_name=name))
