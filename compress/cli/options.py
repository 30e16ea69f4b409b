"""Options that several commands take, and the progress that they show, written once."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compress.progress import Progress
    from compress.recipe.task import Task


class Sensitive(StrEnum):
    """Formats whose int8 scheme `compress sensitivity` and `search` know."""

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


KStepsOption = Annotated[
    int | None, typer.Option("--k-steps", min=1, help="Euler steps of the flow, where the checkpoint does not tell.")
]
SigmaOption = Annotated[
    float | None,
    typer.Option("--sigma-s", min=0, help="Scale of the source noise, where the checkpoint does not tell."),
]
TaskOption = Annotated[TaskName | None, typer.Option("--task", help="What the model is for, where it does not tell.")]
ScaleOption = Annotated[
    int | None,
    typer.Option("--scale", min=1, max=8, help="Times that pictures are enlarged, where the model does not tell."),
]
RecipeArg = Annotated[str, typer.Argument(metavar="RECIPE", help="Built-in name, or path of a YAML file.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. model.image_size=128.")
]
BundleArg = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `compress apply` wrote.")]
SetsOption = Annotated[
    list[str], typer.Option("--data", metavar="SET", help="Calibration set, its file, or a folder of pictures.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR", help="Ray to run on: local (one of its own here), host:port, or auto; needs the extra ray."
    ),
]
StoreOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Folder or s3:// URL that all nodes reach; below --out by default.")
]


def named(task: TaskName | None) -> "Task | None":
    """``task`` by the type that the rest of the package has for it."""
    return None if task is None else task.value


def progress() -> "Progress":
    """Rich on a terminal, plain lines otherwise."""
    from compress.progress import Progress

    return Progress()
