"""The schema of a set of pictures, for calibration or validation."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from compress.recipe.degradation import Degradation
from compress.recipe.names import Name
from compress.recipe.strict import Strict


class BundledSource(Strict):
    """Photographs that the package carries."""

    kind: Literal["bundled"] = "bundled"
    folder: Literal["calibration", "validation"] = Field(description="which of the two disjoint folders")


class FolderSource(Strict):
    """A local folder, searched recursively."""

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1)


class HubSource(Strict):
    """A data set of the Hugging Face hub, through `datasets`, streamed."""

    kind: Literal["hub"] = "hub"
    name: str = Field(min_length=1, description="hub name, owner/set")
    split: str = Field("train", min_length=1)
    column: str = Field("image", min_length=1, description="column that holds the pictures")


Source = Annotated[BundledSource | FolderSource | HubSource, Field(discriminator="kind")]


class CalibrationSet(Strict):
    """A set of clean pictures, for calibration or validation; inputs come by the degradation."""

    version: Literal[1]
    name: Name
    description: str = ""
    source: Source
    count: int | None = Field(None, gt=0, description="pictures taken; none: all")
    crop: int = Field(256, gt=0, multiple_of=32, description="side of the square crop, in px")
    crop_at: Literal["center", "random", "whole"] = Field(
        "center", description="random: seeded, one crop a picture; whole: the largest centred square, resized to crop"
    )
    degradation: Annotated[
        Annotated[list[Degradation], Tag("steps")] | Annotated[Literal["task"], Tag("name")],
        Discriminator(lambda value: "steps" if isinstance(value, list) else "name"),
    ] = Field("task", description="steps in order; task: as the recipe's task")
    seed: int = Field(0, ge=0)
