"""The shape of ``manifest.json``: what a command needs of a bundle that may come from a stranger; the rest is free."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from compress.artifacts.stages import STAGES, Stage, stage_files
from compress.recipe.schema import Format, Layout, Precision
from compress.results.section import Id, Section, Sha256, Text

Side = Annotated[int, Field(ge=1, le=2**16)]
Path = Annotated[str, Field(min_length=1, max_length=4096)]


class ManifestFile(Section):
    """A file of the bundle, by its hash."""

    path: Path
    bytes: Annotated[int, Field(ge=0, le=2**33)]
    sha256: Sha256


class Port(Section):
    """An input or output of an artifact."""

    name: Text
    shape: list[Side] = Field(min_length=1, max_length=8)
    dtype: Text = "float32"


class ManifestArtifact(Section):
    """An artifact: how it is run."""

    id: Id
    format: Format
    precision: Precision
    entry: Path
    stages: dict[Stage, Path] = Field(default={})
    """The file of each graph of a staged artifact, whose entry is the first; in one folder, named by their stages."""
    task: Text | None = None
    inputs: list[Port] = Field(default=[])
    outputs: list[Port] = Field(default=[])
    k_steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    sigma_s: float | None = None

    @property
    def graphs(self) -> list[str]:
        """The files of its graphs: more than the entry where there are three."""
        return list(self.stages.values()) or [self.entry]

    @property
    def takes_seed(self) -> bool:
        """Whether it holds its noise, and takes the seed of a window of it."""
        return any(port.name == "seed" for port in self.inputs)

    @property
    def layout(self) -> Layout:
        """The layout, as in the recipe's ``export.layout``."""
        return "staged" if self.stages else "single"

    @model_validator(mode="after")
    def _stages_together(self) -> "ManifestArtifact":
        wanted = stage_files(self.entry) if PurePosixPath(self.entry).stem in STAGES else {}
        if self.stages != wanted or wanted.get(STAGES[0], self.entry) != self.entry:
            raise ValueError(f"stages of {self.id} are not {wanted or 'left out'}")
        return self


class Weights(Section):
    """The checkpoint that the bundle was made from."""

    name: Text | None = None
    sha256: Sha256
    licence: Text | None = None


class Seeds(Section):
    """Seeds of the run."""

    noise: Annotated[int, Field(ge=0, lt=2**32)]


class RecipeFacts(Section):
    """The resolved recipe, as far as a bundle's readers use it."""

    measure: Literal["quick", "full"] = "quick"
    model: dict[str, Any] = Field(default={})


class RecipeKey(Section):
    """What a bundle was asked for, where its fallback made another recipe of it."""

    key: dict[str, Any] = Field(default={})
    recipe_sha256: Sha256 | None = None


class Facts(RecipeKey):
    """What a run knows of its bundle before the files are hashed."""

    created: Text | None = None
    name: Text | None = None
    recipe: RecipeFacts | None = None
    weights: Weights | None = None
    data: dict[str, Text] = Field(default={})
    targets: dict[str, Text] = Field(default={})
    versions: dict[str, Text] = Field(default={})
    seeds: Seeds | None = None
    asked: RecipeKey | None = None
    artifacts: list[ManifestArtifact] = Field(max_length=1000)

    @field_validator("artifacts")
    @classmethod
    def _each_once(cls, artifacts: list[ManifestArtifact]) -> list[ManifestArtifact]:
        if twice := _twice([artifact.id for artifact in artifacts]):
            raise ValueError(f"{twice} is listed twice")
        return artifacts


class Manifest(Facts):
    """The whole file."""

    schema_version: Literal[1]
    files: list[ManifestFile] = Field(max_length=10_000)

    @field_validator("files")
    @classmethod
    def _file_once(cls, files: list[ManifestFile]) -> list[ManifestFile]:
        if twice := _twice([file.path for file in files]):
            raise ValueError(f"{twice} is listed twice")
        return files


def _twice(names: list[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]
