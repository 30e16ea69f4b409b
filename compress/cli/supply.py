"""Commands that hand a bundle on: `compress package`, `sign`, `push` and `sbom`. No logic."""

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.guard import results_only
from compress.cli.options import BundleArg, built_in, bundle_path
from compress.cli.panels import DATA

app = typer.Typer()


@app.command(rich_help_panel=DATA)
def package(
    bundle: BundleArg,
    target: Annotated[
        str,
        typer.Option(
            metavar="T", help="Package the artifact for this deploy target.", autocompletion=built_in("targets")
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Write to this folder, which must be new or empty.")
    ],
    artifact: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Package this artifact; by default the fastest on the target, or an int8 one."),
    ] = None,
) -> None:
    """Write a folder to copy into a product: one artifact, programs that run it, and its measured figures.

    Example: compress package runs/int8_sr --target x86-openvino -o product/
    """
    with results_only():
        from compress.package.write import package as run

        written = run(bundle, target, out, artifact)
    typer.echo(written)


@app.command(rich_help_panel=DATA)
def sign(
    bundle: BundleArg,
    key: Annotated[
        Path,
        typer.Option(help="Sign with this private Ed25519 key (PEM); `compress verify --key` takes the public key."),
    ],
) -> None:
    """Sign a bundle: write manifest.json.sig beside its manifest.

    Example: compress sign runs/int8_sr --key private.pem
    """
    with results_only():
        from compress.bundle.sign import sign as run

        written = run(bundle, key)
    typer.echo(written)


@app.command(rich_help_panel=DATA)
def push(
    bundle: BundleArg,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Model repository on the Hub to push to.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private if it is new.")] = False,
    branch: Annotated[str | None, typer.Option(help="Write to this branch; by default to main.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the model card without sending anything.")] = False,
) -> None:
    """Publish a bundle on the Hugging Face Hub, with a model card made from its results.

    Example: compress push runs/int8_sr OWNER/elir-sr-int8
    """
    with results_only():
        from compress.bundle.hub import card_of
        from compress.bundle.hub import push as run

        text = card_of(bundle, repository) if dry_run else run(bundle, repository, private=private, branch=branch)
    typer.echo(text.rstrip())


@app.command(rich_help_panel=DATA)
def sbom(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]",
            parser=bundle_path,
            help="List what this bundle was made with; by default, list what is installed with this package.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write to this file; by default to stdout.")] = None,
) -> None:
    """Write a bill of materials (CycloneDX, JSON) of a bundle, or of this package as it is installed.

    Example: compress sbom runs/int8_sr -o sbom.json
    """
    with results_only():
        from compress.bundle.sbom import sbom as run
        from compress.files import check_output, write_text

        if out is not None:
            check_output(out)
        text = run(bundle)
        if out is not None:
            write_text(out, text)
    typer.echo(text.rstrip() if out is None else out)
