"""compress.json of a package: what its programs need to know of the artifact."""

import re
from dataclasses import dataclass
from typing import Any

from compress import __version__
from compress.artifacts.runtime.base import IMAGE, PACKAGES
from compress.bundle.open import Bundle
from compress.bundle.schema import ManifestArtifact
from compress.errors import VerificationError
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.task import TASKS, task_scale
from compress.restore.open import default_overlap

FACTS = "compress.json"
SCHEMA_VERSION = 1
ARTIFACT = "artifact"
"""Folder of a package that holds the artifact's files. A stranger's bundle may give them any names: beside run.py,
Python would import a file called numpy.py."""
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,50}")
"""Version of a runtime, which becomes part of a library's name in Gradle, and of README.md."""


@dataclass(frozen=True)
class PackageFacts:
    """compress.json, key by key. ``tile``: height and width in px of the output; ``overlap``: px that tiles share.

    ``stages``: the file of each graph of a staged artifact, by its stage, of which ``model`` is the first.
    """

    schema_version: int
    made_by: str
    recipe: str | None
    target: str
    artifact: str
    model: str
    stages: dict[str, str]
    task: str | None
    scale: int
    k_steps: int | None
    sigma_s: float | None
    io: str
    noise: str
    tile: list[int]
    overlap: int
    inputs: list[Any]
    outputs: list[Any]
    runtime: str
    runtime_version: str | None
    device: str
    options: dict[str, str | int | float | bool]
    licence: str | None
    weights_sha256: str | None


def facts_of(bundle: Bundle, artifact: ManifestArtifact, target: DeployTarget) -> PackageFacts:
    """What compress.json says.

    Raises VerificationError where the manifest does not say what the artifact is for, or what it takes, or gives it a
    name that does not go into programs and commands as it is.
    """
    tile = bundle.shape(artifact)
    if artifact.task not in TASKS:
        raise VerificationError(
            f"{bundle.folder}: the manifest does not say what {artifact.id} is for: write the bundle again"
        )
    if not re.fullmatch(r"[\w./-]+", artifact.entry):
        raise VerificationError(
            f"{bundle.folder}: {artifact.entry!r}: not a name that a package can hold: do not use it"
        )
    ports = [*artifact.inputs, *artifact.outputs]
    takes_pictures = any(port.name == IMAGE for port in ports)
    weights, package = bundle.manifest.weights, PACKAGES[artifact.format]
    version = bundle.manifest.versions.get(package, "")
    return PackageFacts(
        schema_version=SCHEMA_VERSION,
        made_by=f"elir-compress {__version__}",
        recipe=bundle.manifest.name,
        target=target.name,
        artifact=artifact.id,
        model=f"{ARTIFACT}/{artifact.entry}",
        stages={stage: f"{ARTIFACT}/{graph}" for stage, graph in artifact.stages.items()},
        task=artifact.task,
        scale=task_scale(artifact.task),
        k_steps=artifact.k_steps,
        sigma_s=artifact.sigma_s,
        io="uint8" if takes_pictures else "float",
        noise="seed" if artifact.takes_seed else "input" if any(port.name == "noise" for port in ports) else "baked",
        tile=list(tile),
        overlap=default_overlap(tile),
        inputs=[port.to_json() for port in artifact.inputs],
        outputs=[port.to_json() for port in artifact.outputs],
        runtime=package,
        runtime_version=version if _VERSION.fullmatch(version) else None,
        device=target.device,
        options=_options(target),
        licence=weights.licence if weights else None,
        weights_sha256=weights.sha256 if weights else None,
    )


def _options(target: DeployTarget) -> dict[str, str | int | float | bool]:
    """The runtime's settings, with which the bundle's figures were measured."""
    if target.runtime != "openvino":
        return target.options
    precision = {"INFERENCE_PRECISION_HINT": "f32"} if target.device == "CPU" else {}
    return {"PERFORMANCE_HINT": "LATENCY", **precision, **target.options}
