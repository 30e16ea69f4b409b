"""`compress targets ...` and `compress demo`: devices, and tools that replace one. No logic."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.options import BundleArg, built_in
from compress.cli.output import JsonOption, show
from compress.cli.panels import DEVICES

app = typer.Typer()
targets = typer.Typer(
    no_args_is_help=True,
    help="List and try the devices that can be measured from here, and install tools that stand in for a device.\n\n"
    "Example: compress targets ls",
)


class ToolName(StrEnum):
    """What `compress targets setup` installs: `compress.targets.tools.NAMES`, and onnxruntime-web for a browser."""

    arm_emulator = "arm-emulator"
    ethos_u_vela = "ethos-u-vela"
    executorch_vulkan = "executorch-vulkan"
    hexagon_simulator = "hexagon-simulator"
    intel_npu_compiler = "intel-npu-compiler"
    tensorrt_rtx = "tensorrt-rtx"
    web = "web"


TargetsArg = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TARGET]...",
        help="Names or YAML files of deploy targets; by default all built-in ones.",
        autocompletion=built_in("targets"),
    ),
]


@targets.command("ls")
def list_(asked: TargetsArg = None, as_json: JsonOption = False) -> None:
    """List deploy targets and whether they can be measured from here, without contacting devices over ssh.

    Example: compress targets ls
    """
    with results_only():
        from compress.progress import Progress
        from compress.targets.survey import survey

        states = survey(asked or [], Progress(), contact=False)
    show(states, as_json=as_json)


@targets.command()
def check(asked: TargetsArg = None, as_json: JsonOption = False) -> None:
    """Try deploy targets, also over ssh, and exit with 4 if one cannot be measured from here.

    Example: compress targets check x86-openvino
    """
    with results_only():
        from compress.progress import Progress
        from compress.targets.survey import survey

        states = survey(asked or [], Progress(), contact=True)
    show(states, as_json=as_json)
    raise typer.Exit(states.exit_code)


@targets.command()
def setup(
    name: Annotated[ToolName, typer.Argument(help="Name of the tool to install.")],
    source: Annotated[
        Path | None,
        typer.Option(metavar="CLONE", help="Clone of ExecuTorch's repository to build executorch-vulkan from."),
    ] = None,
) -> None:
    """Install a tool that stands in for a device. It goes into the cache folder, and needs no root rights.

    If the installation is stopped, the next call resumes it.

    Example: compress targets setup arm-emulator
    """
    with results_only():
        from compress.progress import Progress

        if name is ToolName.web and source is None:
            from compress.targets.browser.onnxruntime_web import setup as fetch

            folder = fetch(Progress())
        else:
            from compress.targets.tools import tool

            folder = tool(name.value, source).setup(Progress())
    typer.echo(folder)


@app.command(rich_help_panel=DEVICES)
def demo(
    bundle: BundleArg,
    artifact: Annotated[
        str | None, typer.Option(help="Run this ONNX artifact in the page; by default onnx-int8.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Listen on this port; 0 picks a free one.")] = 0,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Listen on this IP address of this machine; 0.0.0.0 means all of them. Without it, only this machine "
            "reaches the page.",
        ),
    ] = "127.0.0.1",
) -> None:
    """Serve a page that restores pictures in the browser, on this machine or, with --host, on its network.

    Example: compress demo runs/int8_sr
    """
    with results_only():
        from compress.progress import Progress
        from compress.restore.demo import demo as run

        pages = run(bundle, artifact, port, Progress(), host=host)
    typer.echo(pages.url)
    where = "in a browser on this machine" if pages.is_local else "on any device that reaches this machine"
    typer.echo(f"Open this address {where}. Ctrl-C ends the server.", err=True)
    if not pages.is_local:
        note = "Whoever has the whole address can open the page. It is not encrypted; pictures stay in the browser."
        typer.echo(note, err=True)
    pages.serve()
