"""The errors a user can cause or meet. A message is one line: what was given, which rule it broke, and what to do next.

Each kind has its exit code:

    CompressError           1  anything that the others do not cover
    ├── InputError          2  a wrong command, recipe or input
    ├── GoalMissed          3  a goal of the recipe was missed
    ├── Unavailable         4  a target or a dependency is not here
    └── VerificationError   5  a bundle or checkpoint is damaged
"""

from compress.text import printable


class CompressError(Exception):
    """Base of all errors: a message without a traceback. Each argument is one line, whatever names are in it."""

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
