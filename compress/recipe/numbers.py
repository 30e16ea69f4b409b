"""Numbers of YAML files, each with a largest value: a stranger's file says how much is computed and held."""

from typing import Annotated

from pydantic import Field

MOST_SIDE = 4096
"""Largest side of a picture, a crop or an artifact's input, in px."""
MOST_PIXELS = 2**28
"""Largest number of pixels in the crops of one training step, which are all in memory."""
MOST_CACHED = 2**32
"""Pixels of the crops that a training stage keeps in memory as latents, at about 2 bytes per pixel."""
MOST_DISTILLED = 2**30
"""The same for a distillation, which keeps pictures and latents of teacher and student: about 12 bytes per pixel."""

MOST = 1e6
"""Largest bound, weight or time: far less than results can record, so that no long run fails at its last step."""

Real = Annotated[float, Field(ge=-MOST, le=MOST)]
"""A bound that may be negative."""
Positive = Annotated[float, Field(gt=0, le=MOST)]
"""A ratio, a size or a time."""
Weight = Annotated[float, Field(ge=0, le=MOST)]
"""Weight of a loss term; 0 leaves the term out."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""Seed of random numbers; torch, numpy and a bundle's manifest all accept this range."""
Count = Annotated[int, Field(gt=0, le=1_000_000)]
"""Number of pictures, rows or other things that a file asks for."""
Channels = Annotated[int, Field(gt=0, le=65_536)]
"""Number of a layer's channels that stay."""
Steps = Annotated[int, Field(gt=0, lt=10_000_000)]
"""Number of steps of a training stage."""
Megabytes = Annotated[int, Field(gt=0, le=2**30)]
"""An amount of memory."""
Crop = Annotated[int, Field(ge=32, le=MOST_SIDE, multiple_of=32)]
"""Side of a crop in px."""
