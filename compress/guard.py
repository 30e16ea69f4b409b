"""How a command ends: every error as one message and one exit code; stdout kept for results."""

import contextlib
import ctypes
import errno
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from types import FrameType

import typer

from compress.errors import CompressError

INTERRUPTED, TERMINATED = 130, 143
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


class Terminated(KeyboardInterrupt):
    """SIGTERM, handled as an interruption: stages clean up after themselves."""


@contextlib.contextmanager
def guard(resumable: bool) -> Iterator[None]:
    """Turn what a command raises into a message on stderr and ``typer.Exit``."""
    try:
        with _sigterm():
            yield
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except CompressError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt as error:
        again = ": the same command resumes at the last finished stage" if resumable else ""
        terminated = isinstance(error, Terminated)
        _fail(f"{'terminated' if terminated else 'interrupted'}{again}", TERMINATED if terminated else INTERRUPTED)
    except Exception as error:
        if type(error).__module__.startswith(("typer.", "click.")):
            raise  # usage errors: Typer shows them, and exits with 2
        _unexpected(error)


def _fail(message: str, code: int) -> None:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def _unexpected(error: Exception) -> None:
    if isinstance(error, OSError) and error.errno in _FULL:
        where = error.filename or "output"
        _fail(f"{where}: cannot be written or read ({error.strerror}): free some space or rights", 2)
    text = "".join(traceback.format_exception(error))
    what = " ".join(f"{type(error).__name__}: {error}".split())
    if os.environ.get("COMPRESS_DEBUG") == "1":
        typer.echo(text, err=True)
        _fail(f"{what}: this is a bug, please report it", 1)
    with tempfile.NamedTemporaryFile("w", prefix="compress-bug-", suffix=".log", delete=False) as log:
        log.write(text)
    _fail(f"{what}: this is a bug, please report it with {log.name}", 1)


@contextlib.contextmanager
def _sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """While it runs, what libraries print to stdout, from Python or from C, goes to stderr."""
    sys.stdout.flush()
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            saved = os.dup(1)
            stack.callback(os.close, saved)
            os.dup2(2, 1)
            stack.callback(_restore, saved)
        yield


def _restore(saved: int) -> None:
    # C libraries buffer what they print: unflushed, it would come out after the results.
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)
    os.dup2(saved, 1)
