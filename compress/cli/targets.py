"""`compress targets ...`, `demo`: what can be measured from here, and setting up what stands in. No logic."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.output import JsonOption, show

targets = typer.Typer(no_args_is_help=True, help="Devices: which can be measured from here; set up what stands in.")


class ToolName(StrEnum):
    """What `targets setup` installs: `compress.targets.tools.NAMES`, and onnxruntime-web for a browser."""

    arm_emulator = "arm-emulator"
    intel_npu_compiler = "intel-npu-compiler"
    tensorrt_rtx = "tensorrt-rtx"
    web = "web"


TargetsArg = Annotated[list[str] | None, typer.Argument(metavar="[TARGET]...", help="Names or files; none: all.")]


@targets.command("ls")
def list_(asked: TargetsArg = None, as_json: JsonOption = False) -> None:
    """List deploy targets: what is here, set up, or behind ssh (which is not asked)."""
    with results_only():
        from compress.progress import Progress
        from compress.targets.survey import survey

        found = survey(asked or [], Progress(), contact=False)
    show(found, as_json=as_json)


@targets.command()
def check(asked: TargetsArg = None, as_json: JsonOption = False) -> None:
    """Try deploy targets, those behind ssh too; ends with 4 when one cannot be measured from here."""
    with results_only():
        from compress.progress import Progress
        from compress.targets.survey import survey

        found = survey(asked or [], Progress(), contact=True)
    show(found, as_json=as_json)
    raise typer.Exit(found.exit_code)


@targets.command()
def setup(name: Annotated[ToolName, typer.Argument(help="What to set up.")]) -> None:
    """Set up what stands in for a device, in the cache folder, without root; goes on where it was stopped."""
    with results_only():
        from compress.progress import Progress

        if name is ToolName.web:
            from compress.targets.browser.onnxruntime_web import setup as fetch

            folder = fetch(Progress())
        else:
            from compress.targets.tools import tool

            folder = tool(name.value).setup(Progress())
    typer.echo(folder)


def demo(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `compress apply` wrote.")],
    artifact: Annotated[str | None, typer.Option(help="An ONNX artifact of it; onnx-int8 by default.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0: any that is free.")] = 0,
) -> None:
    """Serve a page, to this machine only, that restores dropped pictures in the browser."""
    with results_only():
        from compress.progress import Progress
        from compress.restore.demo import demo as run

        pages = run(bundle, artifact, port, Progress())
    typer.echo(pages.url)
    typer.echo("open this address in a browser on this machine; Ctrl-C ends it", err=True)
    pages.serve()
