"""Large pictures, a strip of rows at a time, so that measures take memory by the strip and not by the picture."""

from collections.abc import Iterator

PIXELS = 2**22
LEAST = 256
"""Rows of a strip: fewer would be mostly the rows around it, which some measures need."""


def strips(height: int, width: int, unit: int = 1) -> Iterator[tuple[int, int]]:
    """First and last row, exclusive, of strips of about ``PIXELS``; all but the last have a multiple of ``unit`` rows.

    Pictures of up to 4 megapixels are one strip.
    """
    rows = max(LEAST, PIXELS // width) // unit * unit
    for top in range(0, height, rows):
        yield top, min(top + rows, height)
