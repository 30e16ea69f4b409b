"""The errors a user can cause or meet, each with the exit code that design promises. One line: given, rule, next."""

from compress.text import printable


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
