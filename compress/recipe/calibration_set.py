"""The schema of a set of pictures, for calibration or validation."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from compress.recipe.degradation import Degradation
from compress.recipe.names import Name
from compress.recipe.numbers import Count, Crop, Seed
from compress.recipe.strict import Strict


class BundledSource(Strict):
    """Photographs that come with the package."""

    kind: Literal["bundled"] = "bundled"
    folder: Literal["calibration", "validation"] = Field(
        description="Which of the two disjoint folders of bundled photographs to take."
    )


class FolderSource(Strict):
    """A local folder, searched recursively."""

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1)


class HubSource(Strict):
    """A data set of the Hugging Face hub, streamed through `datasets`."""

    kind: Literal["hub"] = "hub"
    name: str = Field(min_length=1, description="Name of the data set on the hub, as owner/set.")
    split: str = Field("train", min_length=1)
    column: str = Field("image", min_length=1, description="Column of the data set that holds the pictures.")


Source = Annotated[BundledSource | FolderSource | HubSource, Field(discriminator="kind")]


class Pairs(Strict):
    """Local folders, searched recursively: inputs to use as they are, and true pictures with the same names."""

    low: str = Field(min_length=1, description="Folder of the low-quality pictures.")
    high: str | None = Field(
        None,
        min_length=1,
        description="Folder of the true pictures. Without it, the set serves for calibration and for "
        "measures that need no truth.",
    )
    enlarged: bool = Field(
        False,
        description="For super-resolution without true pictures: whether the low pictures already have the size of the "
        "output.",
    )

    @model_validator(mode="after")
    def _fits(self) -> "Pairs":
        if self.enlarged and self.high is not None:
            raise ValueError("enlarged must be left out beside high: the sizes of each pair tell")
        return self


class CalibrationSet(Strict):
    """A set of pictures for calibration or validation: pairs, or clean pictures whose inputs the degradation makes."""

    version: Literal[1]
    name: Name
    description: str = ""
    source: Source | None = Field(
        None, description="Where the clean pictures come from. A set has either source or pairs."
    )
    pairs: Pairs | None = Field(
        None, description="Inputs that already exist, so that none are made. A set has either source or pairs."
    )
    count: Count | None = Field(None, description="Number of pictures to take; by default all of them.")
    crop: Crop = Field(256, description="Side of the square crop in px.")
    crop_at: Literal["center", "random", "whole"] = Field(
        "center",
        description="Where the crop is taken: at the centre, at one seeded random place per picture, or "
        "(whole) the largest centred square, resized to crop.",
    )
    degradation: Annotated[
        Annotated[list[Degradation], Field(max_length=32), Tag("steps")] | Annotated[Literal["task"], Tag("name")],
        Discriminator(lambda value: "steps" if isinstance(value, list) else "name"),
    ] = Field(
        "task",
        description="How inputs are made: a list of steps in order, or task for the degradation that the recipe's task "
        "undoes. Not used with pairs.",
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _one_origin(self) -> "CalibrationSet":
        if (self.source is None) == (self.pairs is None):
            rule = "source is missing: add it, or pairs" if self.source is None else "give source or pairs, not both"
            raise ValueError(rule)
        if self.pairs is not None and self.degradation != "task":
            raise ValueError("degradation must be left out beside pairs: their low pictures are the inputs")
        return self
