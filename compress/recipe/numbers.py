"""Numbers of YAML files, each with a largest value: a stranger's file says how much is computed and held."""

from typing import Annotated

from pydantic import Field

MOST_SIDE = 4096
"""Of a picture, of a crop, of an artifact's input, in px."""
MOST_PIXELS = 2**28
"""Of the crops of one training step, whose pictures are all in memory."""
MOST_CACHED = 2**32
"""Pixels of the crops that a stage keeps in memory as latents, at about 2 bytes per pixel."""

MOST = 1e6
"""Of a bound, a weight, a time: far less than results record, so that no run of hours ends at its last line."""

Real = Annotated[float, Field(ge=-MOST, le=MOST)]
"""Of a bound that may lie below 0."""
Positive = Annotated[float, Field(gt=0, le=MOST)]
"""Of a ratio, a size, a time."""
Weight = Annotated[float, Field(ge=0, le=MOST)]
"""Of a term of a loss; 0 leaves it out."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""Of any random numbers: torch, numpy and the manifest of a bundle take as much."""
Count = Annotated[int, Field(gt=0, le=1_000_000)]
"""Of pictures, rows, or whatever a file asks a number of."""
Channels = Annotated[int, Field(gt=0, le=65_536)]
"""Of a layer that is there already: as many as it has, at most."""
Steps = Annotated[int, Field(gt=0, lt=10_000_000)]
"""Of a training stage, which numbers its batches so."""
Megabytes = Annotated[int, Field(gt=0, le=2**30)]
"""Of memory."""
Crop = Annotated[int, Field(ge=32, le=MOST_SIDE, multiple_of=32)]
"""Side of a crop in px."""
