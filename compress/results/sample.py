"""Sample pictures of a bundle: input, truth and every artifact's output."""

from pydantic import Field

from compress.recipe.names import PictureName
from compress.results.section import Id, Section, Text


class Sample(Section):
    """One picture of the first validation set; paths are relative to the bundle."""

    name: PictureName
    index: int = Field(0, ge=0, lt=2**20, description="Place of the picture in the set, which decides its noise.")
    degraded: Text
    clean: Text | None = Field(None, description="Path of the clean picture; null if the set has no true pictures.")
    image: Text | None = Field(
        None,
        description="Path of the picture that artifacts read and enlarge themselves; null if they read `degraded`.",
    )
    outputs: dict[Id, Text] = Field(default={}, description="Path of each artifact's output, by the artifact's id.")
    simulated: dict[Id, Text] = Field(
        default={},
        description="Path of torch's output with each artifact's quantizers, by the artifact's id; only for artifacts "
        "that have quantizers.",
    )

    @property
    def files(self) -> list[str]:
        """Paths of every picture of it."""
        others = [path for path in (self.clean, self.image) if path]
        return [self.degraded, *others, *self.outputs.values(), *self.simulated.values()]
