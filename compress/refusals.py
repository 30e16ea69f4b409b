"""Several mistakes at once: every check is made before one error lists what all of them refuse."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from compress.errors import CompressError

MOST_MISTAKES = 100
"""Lines of one refusal."""


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

    def refuse(self) -> None:
        """Raise what was gathered, if anything, as an error of the first one's kind."""
        if self._errors:
            raise type(self._errors[0])(*shortened([line for error in self._errors for line in error.args]))


def shortened(lines: Iterable[str]) -> list[str]:
    """``lines``, each once, with the place in a file where one has it, and ``MOST_MISTAKES`` of them at most."""
    unlike = list(dict.fromkeys(lines))
    once = [line for line in unlike if not any(other != line and other.endswith(line) for other in unlike)]
    more = len(once) - MOST_MISTAKES
    return [*once[:MOST_MISTAKES], *([f"and {more} more mistakes"] if more > 0 else [])]
