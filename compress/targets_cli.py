"""`compress targets ...`: what can be measured from here, and setting up what stands in for a device. No logic."""

from enum import StrEnum
from typing import Annotated

import typer

from compress.guard import results_only
from compress.showing import JsonOption, show

targets = typer.Typer(no_args_is_help=True, help="Devices: which can be measured from here; set up what stands in.")


class ToolName(StrEnum):
    """What `targets setup` installs; as `compress.tools.NAMES`."""

    arm_emulator = "arm-emulator"
    intel_npu_compiler = "intel-npu-compiler"
    tensorrt_rtx = "tensorrt-rtx"


TargetsArg = Annotated[list[str] | None, typer.Argument(metavar="[TARGET]...", help="Names or files; none: all.")]


@targets.command("ls")
def list_(asked: TargetsArg = None, as_json: JsonOption = False) -> None:
    """List deploy targets: what is here, set up, or behind ssh (which is not asked)."""
    with results_only():
        from compress.progress import Progress
        from compress.surveying import survey

        found = survey(asked or [], Progress(), contact=False)
    show(found, as_json)


@targets.command()
def check(asked: TargetsArg = None, as_json: JsonOption = False) -> None:
    """Try deploy targets, those behind ssh too; ends with 4 when one cannot be measured from here."""
    with results_only():
        from compress.progress import Progress
        from compress.surveying import survey

        found = survey(asked or [], Progress(), contact=True)
    show(found, as_json)
    raise typer.Exit(found.exit_code)


@targets.command()
def setup(name: Annotated[ToolName, typer.Argument(help="What to set up.")]) -> None:
    """Set up what stands in for a device, in the cache folder, without root; goes on where it was stopped."""
    with results_only():
        from compress.progress import Progress
        from compress.tools import tool

        folder = tool(name.value).setup(Progress())
    typer.echo(folder)
