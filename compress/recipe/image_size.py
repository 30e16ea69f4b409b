"""Height and width in px of what a model is exported for: ``image_size`` of a recipe, and how it is written."""

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, Tag

Shape: TypeAlias = tuple[int, int]
"""Height and width in px."""
Side = Annotated[int, Field(ge=64, le=4096, multiple_of=32)]


def _form(value: object) -> str:
    return "sides" if isinstance(value, list | tuple) else "side"


ImageSize = Annotated[
    Annotated[Side, Tag("side")] | Annotated[list[Side], Field(min_length=2, max_length=2), Tag("sides")],
    Discriminator(_form),
]
"""The side of a square, or [height, width]."""


def shape_of(size: int | list[int]) -> Shape:
    """Height and width of an ``ImageSize``."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def shortest(size: int | list[int]) -> int | list[int]:
    """The same size, a square by its side: recipes that mean the same get the same hash."""
    height, width = shape_of(size)
    return height if height == width else [height, width]


def size_text(shape: Shape) -> str:
    """A square by its side, others as height x width: "256", "384x640"."""
    height, width = shape
    return f"{height}" if height == width else f"{height}x{width}"


def exact_text(shape: Shape | None) -> str:
    """Height x width, of squares too: "512x512"; "" for None."""
    return "x".join(map(str, shape or ()))
