"""The errors a user can cause or meet. A message is one line: what was given, the rule it broke, the next step.

Each kind has its exit code:

    CompressError           1  what none of the others covers
    ├── InputError          2  a wrong command, recipe or input
    ├── GoalMissed          3  a goal of the recipe was missed
    ├── Unavailable         4  a target or a dependency is not here
    └── VerificationError   5  a bundle or checkpoint is damaged
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from compress.text import printable

MOST_MISTAKES = 100
"""Lines of one refusal."""


class CompressError(Exception):
    """Base: a message for a person, no traceback. Each argument is one line, whatever names from outside are in it."""

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(printable(str(line)) for line in self.args)


class InputError(CompressError):
    """Bad usage, recipe or input."""

    exit_code = 2


class GoalMissed(CompressError):
    """A goal of the recipe was missed; the bundle is written all the same."""

    exit_code = 3


class Unavailable(CompressError):
    """A required target or dependency is not here."""

    exit_code = 4


class VerificationError(CompressError):
    """A bundle or checkpoint failed verification."""

    exit_code = 5


_BY_EXIT_CODE = {kind.exit_code: kind for kind in (InputError, GoalMissed, Unavailable, VerificationError)}


def error_of(exit_code: int) -> type[CompressError]:
    """The error that ``exit_code`` stands for: what another process met is raised again here."""
    return _BY_EXIT_CODE.get(exit_code, CompressError)


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
    """``lines``, each once, and ``MOST_MISTAKES`` of them at most."""
    once = list(dict.fromkeys(lines))
    more = len(once) - MOST_MISTAKES
    return [*once[:MOST_MISTAKES], *([f"and {more} more mistakes"] if more > 0 else [])]
