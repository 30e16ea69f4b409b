"""The shape of ``manifest.json``: what a command needs of a bundle that may come from a stranger; the rest is free."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compress.recipe.names import Name
from compress.recipe.yaml_nodes import dotted


class _Facts(BaseModel):
    """Fields that are used; a bundle may tell more."""

    model_config = ConfigDict(extra="allow", strict=True)


class ManifestFile(_Facts):
    """A file of the bundle, by its hash."""

    path: str = Field(min_length=1)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ManifestArtifact(_Facts):
    """An artifact: how it is run."""

    id: Name
    format: Literal["openvino", "onnx", "executorch"]
    precision: Literal["fp32", "fp16", "int8", "weights"]
    entry: str = Field(min_length=1)
    task: str | None = None


class _Seeds(_Facts):
    noise: int = Field(ge=0, lt=2**32)


class _RecipeFacts(_Facts):
    measure: Literal["quick", "full"] = "quick"


class Manifest(_Facts):
    """The whole file."""

    schema_version: int
    files: list[ManifestFile]
    artifacts: list[ManifestArtifact]
    seeds: _Seeds | None = None
    recipe: _RecipeFacts | None = None


def manifest_mistake(document: Any) -> str | None:
    """The first thing that is wrong with a manifest, as ``files.0.bytes: ...``; None for a right one."""
    try:
        Manifest.model_validate(document)
        return None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{dotted(first['loc'])}: {' '.join(first['msg'].split())}"
