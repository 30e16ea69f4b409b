"""What may be missing around a process: a home folder, a name of its user, streams, an encoding that has every letter.

Containers run as a user id without an entry and without HOME; services close stdout; old terminals speak ASCII.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

NO_HOME = "there is no home folder: HOME is not set, and this user has no entry"

_BY_COMMAND = ContextVar("by_command", default=False)


@contextmanager
def command_line() -> Iterator[None]:
    """Around a command: who reads its messages can give options, and no arguments of Python's."""
    token = _BY_COMMAND.set(True)
    try:
        yield
    finally:
        _BY_COMMAND.reset(token)


def fresh_start() -> str:
    """How to ask a command, or a function, for a run that takes nothing over from an earlier one."""
    return "--fresh" if _BY_COMMAND.get() else "resume=False"


def has_home() -> bool:
    """Whether the user has a home folder; without one ``~`` would become a folder of that name here."""
    return os.path.isabs(os.path.expanduser("~"))


def user_name() -> str:
    """The user's name, or the number where it has none."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def is_on(variable: str) -> bool:
    """Whether an environment variable is set to anything but a word for no."""
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "no", "off")


NO_CURRENT_FOLDER = "the current folder was removed, or cannot be read: change to another, then run the command again"


def has_current_folder() -> bool:
    """Whether this process has one: it may be removed while a shell, or a program, is in it."""
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def make_do() -> None:
    """Make up for what is missing, for this process and its children; for programs, not for those who import us."""
    os.environ.setdefault("LOGNAME", user_name())  # torch and Ray ask for it, and do not expect an answer to be missing
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        # A name of a file may hold what no encoding has.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _open_streams() -> None:
    """Open what is closed of the first three descriptors: else the next file would become stdout, and be printed to."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # the lowest number that is free
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process


def expanded(path: str | Path) -> Path:
    """``path`` with ``~`` as the home folder, and as it is where there is none: pathlib would fail instead."""
    return Path(os.path.expanduser(path))
