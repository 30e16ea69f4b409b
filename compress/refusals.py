"""Several mistakes at once: every check is made before one error lists what all of them refuse."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compress.errors import CompressError

MOST_MISTAKES = 100
"""Lines of one refusal."""
FEW_PICTURES = 3
"""Pictures of a set that get a line each for one reason, where more than one other has the same."""
MOST_NAMES = 20
"""Pictures that the line on the others names."""


class Refusals:
    """What several checks refuse, to be raised as one error with a line for each."""

    def __init__(self) -> None:
        self._errors: list[CompressError] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Around one check: what it refuses is kept until ``refuse``."""
        try:
            yield
        except CompressError as error:
            self._errors.append(error)

    def refuse(self, fewer: Callable[[list[str]], list[str]] = list) -> None:
        """Raise what was gathered, if anything, as an error of the first one's kind; ``fewer``: which lines stay."""
        if self._errors:
            lines = fewer([line for error in self._errors for line in error.args])
            raise type(self._errors[0])(*shortened(lines))


def shortened(lines: Iterable[str]) -> list[str]:
    """``lines``, each once, with the place in a file where one has it, and ``MOST_MISTAKES`` of them at most."""
    unlike = list(dict.fromkeys(lines))
    once = [line for line in unlike if not any(other.endswith(f": {line}") for other in unlike)]
    more = len(once) - MOST_MISTAKES
    return [*once[:MOST_MISTAKES], *([f"and {more} more mistakes"] if more > 0 else [])]


def few_pictures(name: str, lines: Iterable[str]) -> list[str]:
    """``PICTURE: reason`` lines of the set ``name``: by reason, the first few of each, and one line on the others.

    Reasons that differ in numbers alone, of pixels for example, are one.
    """
    reasons: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        picture, _, reason = line.partition(": ")
        reasons.setdefault(re.sub(r"\d+", "0", reason), []).append((picture, reason))
    told = []
    for alike in reasons.values():
        few = alike if len(alike) < FEW_PICTURES + 2 else alike[:FEW_PICTURES]
        told += [": ".join(part for part in line if part) for line in few]
        if others := alike[len(few) :]:
            named = ", ".join(Path(picture).name for picture, _ in others[:MOST_NAMES])
            more = ", ..." if len(others) > MOST_NAMES else ""
            told.append(f"{name}: {len(others)} more pictures ({named}{more}): {others[0][1]}")
    return told
