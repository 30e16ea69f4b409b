"""Options that several commands take, how a shell completes them, and the progress that commands show."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compress.progress import Progress
    from compress.recipe.library import Kind
    from compress.recipe.task import Task


class Sensitive(StrEnum):
    """Formats whose int8 scheme `compress sensitivity` and `compress search` know."""

    openvino = "openvino"
    onnx = "onnx"
    executorch = "executorch"


class TaskName(StrEnum):
    """``compress.recipe.schema.TASKS``."""

    sr_x2 = "sr_x2"
    sr_x4 = "sr_x4"
    sr_x8 = "sr_x8"
    blind_sr_x4 = "blind_sr_x4"
    denoise = "denoise"
    deblur = "deblur"
    inpaint = "inpaint"
    blind_face = "blind_face"
    sr_x8_published = "sr_x8_published"
    blind_sr_x4_published = "blind_sr_x4_published"
    denoise_published = "denoise_published"
    blind_face_published = "blind_face_published"
    inpaint_published = "inpaint_published"
    inpaint_square = "inpaint_square"
    colorize = "colorize"


def built_in(kind: "Kind") -> Callable[[str], list[str]]:
    """What a shell completes: the built-in names of ``kind`` that begin as what is typed."""

    def complete(incomplete: str) -> list[str]:
        from compress.recipe.library import names

        return [name for name in names(kind) if name.startswith(incomplete)]

    return complete


def one_of(valid: Sequence[str]) -> Callable[[str], str]:
    """A check of an argument that offers the nearest name for a wrong one."""

    def check(given: str) -> str:
        from compress.recipe.library import did_you_mean

        if given not in valid:
            raise typer.BadParameter(f"{given!r} is not one of {', '.join(valid)}{did_you_mean(given, valid)}")
        return given

    return check


KStepsOption = Annotated[
    int | None,
    typer.Option("--k-steps", min=1, help="Number of Euler steps of the flow, if the checkpoint does not record it."),
]
SigmaOption = Annotated[
    float | None,
    typer.Option("--sigma-s", min=0, help="Scale of the source noise, if the checkpoint does not record it."),
]
TaskOption = Annotated[
    TaskName | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help=f"Task that the model is for, if the file does not record it: {', '.join(TaskName)}.",
    ),
]
ScaleOption = Annotated[
    int | None,
    typer.Option(
        "--scale", min=1, max=8, help="Factor by which pictures are enlarged, if the file does not record a task."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the sampling noise.")]
RecipeArg = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="Name of a built-in recipe, or path of a YAML file.", autocompletion=built_in("recipes")
    ),
]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change one setting, for example model.image_size=128; repeat for more."
    ),
]


def bundle_path(source: str) -> Path:
    """A bundle's folder, downloaded where it is on the Hub."""
    if not source.startswith("hf://"):
        return Path(source)
    from compress.bundle.hub import local

    return local(source)


BundleArg = Annotated[
    Path,
    typer.Argument(
        metavar="BUNDLE", parser=bundle_path, help="Folder that `compress apply` wrote, or hf://OWNER/NAME on the Hub."
    ),
]
SetsOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        metavar="SET",
        help="Measure on this data set: a built-in name, a set's YAML file, or a folder of pictures.",
        autocompletion=built_in("calibration"),
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR",
        help="Run on Ray: local (starts Ray here), host:port of a cluster, or auto (needs the extra ray).",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Share files through this folder or s3:// URL; by default a folder below --out."),
]
PlotOption = Annotated[Path | None, typer.Option(help="Also write the result as an SVG plot to this file.")]


def named(task: TaskName | None) -> "Task | None":
    """``task`` by the type that the rest of the package has for it."""
    return None if task is None else task.value


def progress() -> "Progress":
    """Rich on a terminal, plain lines otherwise."""
    from compress.progress import Progress

    return Progress()
