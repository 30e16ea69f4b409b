"""Arguments and errors of the Python functions: checked and reported as the command line checks and reports its own."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from compress.errors import InputError
from compress.files import of_place


@contextmanager
def place_errors() -> Iterator[None]:
    """Around what Python code calls: errors of a file system are InputError, as the command line tells them."""
    try:
        yield
    except OSError as error:
        if line := of_place(error):
            raise InputError(line) from None
        raise


def path_text(given: object) -> str:
    """A path or name that Python code gave, as text. Raises InputError for what no file can be called."""
    if not isinstance(given, str | os.PathLike):
        raise InputError(f"{given!r:.100} is no path: give a str or a Path")
    text = os.fsdecode(given)
    try:
        no_path = b"\0" in os.fsencode(text)
    except UnicodeEncodeError:
        no_path = True
    if no_path:
        raise InputError(f"{text!r}: no name that a file can have: check the path")
    return text


def texts(what: str, given: Iterable[object]) -> list[str]:
    """What Python code gave as several texts. Raises InputError for anything else."""
    several = list(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else [None]
    if not all(isinstance(text, str) for text in several):
        raise InputError(f"{what} (={given!r:.100}) must be a list of texts: give ['...']")
    return [str(text) for text in several]
