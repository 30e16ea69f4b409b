"""Height and width in px of what a model is exported for: ``image_size`` of a recipe, and how it is written."""

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, Tag

from compress.recipe.numbers import MOST_SIDE

Shape: TypeAlias = tuple[int, int]
"""Height and width in px."""
GRID = 32
"""What a side is a multiple of where nothing pads it, in px."""
Side = Annotated[int, Field(ge=64, le=MOST_SIDE)]


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


def check_sides(size: int | list[int], padded: bool, scale: int) -> None:
    """Raise ValueError for a side that the networks cannot take: not even ``padded``, of pictures that are made
    ``scale`` times smaller."""
    unit = scale if padded else GRID
    for side in shape_of(size):
        if side % unit:
            below = side // unit * unit
            near = f"the nearest are {below} and {below + unit}"
            instead = "" if padded or side % scale else ", or add `padding: inside`"
            raise ValueError(f"must be a multiple of {unit}, got {side}: {near}{instead}")


def size_text(shape: Shape) -> str:
    """A square by its side, others as height x width: "256", "384x640"."""
    height, width = shape
    return f"{height}" if height == width else f"{height}x{width}"


def exact_text(shape: Shape | None) -> str:
    """Height x width, of squares too: "512x512"; "" for None."""
    return "x".join(map(str, shape or ()))
