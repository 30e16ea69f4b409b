"""The commands around where a bundle comes from: `compress sign`, `sbom`. No logic; see ``cli``."""

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.guard import results_only


def sign(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `compress apply` wrote.")],
    key: Annotated[Path, typer.Option(help="Private Ed25519 key, PEM; `verify --key` takes its public half.")],
) -> None:
    """Sign a bundle: write manifest.json.sig beside its manifest."""
    with results_only():
        from compress.bundle.sign import sign as run

        written = run(bundle, key)
    typer.echo(written)


def sbom(
    bundle: Annotated[Path | None, typer.Argument(metavar="[BUNDLE]", help="Bundle; by default this package.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; stdout by default.")] = None,
) -> None:
    """Write a bill of materials (CycloneDX, JSON) of a bundle, or of this package as it is installed."""
    with results_only():
        from compress.bundle.sbom import sbom as run
        from compress.files import check_output, write_text

        if out is not None:
            check_output(out)
        text = run(bundle)
        if out is not None:
            write_text(out, text)
    typer.echo(text.rstrip() if out is None else out)
