"""Several mistakes at once: every check is made before one error lists what all of them refuse."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from compress.errors import CompressError

MOST_MISTAKES = 100
"""Lines of one refusal."""
FEW_PICTURES = 3
"""Those of a set that are named for one reason, where more than one other has the same."""


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
    once = [line for line in unlike if not any(other != line and other.endswith(line) for other in unlike)]
    more = len(once) - MOST_MISTAKES
    return [*once[:MOST_MISTAKES], *([f"and {more} more mistakes"] if more > 0 else [])]


def few_pictures(name: str, lines: Iterable[str]) -> list[str]:
    """``PICTURE: reason`` lines of the set ``name``: by reason, the first few of each, and how many more there are.

    Reasons that differ in numbers alone, of pixels for example, are one.
    """
    reasons: dict[str, list[str]] = {}
    for line in lines:
        reasons.setdefault(re.sub(r"\d+", "0", line.partition(": ")[2]), []).append(line)
    told = []
    for alike in reasons.values():
        rest = len(alike) - FEW_PICTURES
        told += alike if rest < 2 else [*alike[:FEW_PICTURES], f"{name}: {rest} more pictures for the same reason"]
    return told
