"""Sample pictures of a bundle: input, truth and every artifact's output."""

from pydantic import Field

from compress.recipe.names import PictureName
from compress.results.section import Id, Section, Text


class Sample(Section):
    """One picture of the first validation set; paths are below the bundle."""

    name: PictureName
    index: int = Field(0, ge=0, lt=2**20, description="the picture's place in the set, which its noise follows from")
    degraded: Text
    clean: Text | None = Field(None, description="none: the set has no true pictures")
    outputs: dict[Id, Text] = Field(default={}, description="by artifact")
    simulated: dict[Id, Text] = Field(default={}, description="what torch makes of it with the artifact's quantizers")
