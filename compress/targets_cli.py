"""The commands around deploy targets: `compress targets ...`, `demo`. No logic; see ``cli``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compress.guard import results_only

targets = typer.Typer(no_args_is_help=True, help="What deploy targets need beside this package.")


class Tool(StrEnum):
    """What `targets setup` fetches."""

    web = "web"


@targets.callback()
def _group() -> None:
    pass


@targets.command()
def setup(tool: Annotated[Tool, typer.Argument(help="web: onnxruntime-web, from npm, for web-wasm and demo.")]) -> None:
    """Fetch what a kind of target needs into the user's cache."""
    with results_only():
        from compress.progress import Progress
        from compress.targets.web import setup as web

        folder = {Tool.web: web}[tool](Progress())
    typer.echo(folder)


def demo(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `compress apply` wrote.")],
    artifact: Annotated[str | None, typer.Option(help="An ONNX artifact of it; onnx-int8 by default.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0: any that is free.")] = 0,
) -> None:
    """Serve a page, to this machine only, that restores dropped pictures in the browser."""
    with results_only():
        from compress.demo import demo as run
        from compress.progress import Progress

        pages = run(bundle, artifact, port, Progress())
    typer.echo(pages.url)
    typer.echo("open this address in a browser on this machine; Ctrl-C ends it", err=True)
    pages.serve()
