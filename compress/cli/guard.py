"""How a command ends: every error as one message and one exit code; stdout kept for results."""

import contextlib
import ctypes
import errno
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TypeAlias

import typer

from compress.errors import CompressError
from compress.files import of_place
from compress.native_work import note_signal
from compress.progress import say_last
from compress.surroundings import command_line, is_on
from compress.text import printable

Resumable: TypeAlias = Callable[[], bool]
INTERRUPTED, TERMINATED = 130, 143
GRACE_S = 3.5
"""Time for a command to clean up after a signal, native calls included, before it is ended."""
AGAIN_S = 0.05
SHORT_MB = 128
"""With less memory or address space left, whatever goes wrong is reported as out of memory."""
MEMINFO, STATM = Path("/proc/meminfo"), Path("/proc/self/statm")
_OPEN = {errno.EMFILE, errno.ENFILE}
# torch, OpenVINO and ONNX Runtime report a failed allocation by its text alone.
_NO_MEMORY = (
    "can't allocate memory",
    "bad_alloc",
    "Cannot allocate memory",
    "Failed to allocate memory",
    "bad allocation",
)


@contextlib.contextmanager
def guard(resumable: Resumable) -> Iterator[None]:
    """Turn what a command raises into a message on stderr and ``typer.Exit``.

    ``resumable``: whether the command, when it is run again, continues where it was stopped.
    """
    came: list[int] = []
    try:
        with command_line(), _signals(came), _ended_in_time(resumable):
            yield
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        _fail(*_stopped(came[0] if came else signal.SIGINT, resumable))
    except Exception as error:
        # Libraries wrap an interruption into errors of their own (torch.export does).
        if came:
            _fail(*_stopped(came[0], resumable))
        if isinstance(error, CompressError):
            _fail(str(error), error.exit_code)
        if type(error).__module__.startswith(("typer.", "click.")):
            raise  # usage errors: Typer shows them, and exits with 2
        _unexpected(error)


def _fail(message: str, code: int) -> None:
    with contextlib.suppress(OSError):  # stderr may be on a disk that is full: the code is all that is left to tell
        typer.echo(message, err=True)
    raise typer.Exit(code)


def _unexpected(error: Exception) -> None:
    if message := _of_machine(error):
        _fail(printable(message), 2)
    text = "".join(traceback.format_exception(error))
    what = printable(" ".join(f"{type(error).__name__}: {error}".split()))
    if is_on("COMPRESS_DEBUG"):
        typer.echo(text, err=True)
        _fail(f"{what}: this is a bug, please report it", 1)
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="compress-bug-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as log:
            log.write(text)
    except OSError:  # nowhere to write
        typer.echo(text, err=True)
        _fail(f"{what}: this is a bug, please report it with the lines above", 1)
    _fail(f"{what}: this is a bug, please report it with {log.name}", 1)


def _of_machine(error: Exception) -> str | None:
    """One line on what the machine lacks (space, rights, handles, memory); None for any other error."""
    if line := of_place(error):
        return line
    if isinstance(error, OSError) and error.errno in _OPEN:
        return f"too many open files ({error.strerror}): raise the limit (ulimit -n), then run the command again"
    memory = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    # oneDNN's "could not create a primitive" and OpenVINO's "Cannot recognize input model" do not mention memory.
    left = _memory_left_mb()
    if memory or any(sign in str(error) for sign in _NO_MEMORY) or (left is not None and left < SHORT_MB):
        why = " ".join(str(error).split())[:120]
        return f"out of memory{f' ({why})' if why else ''}: free some, or lower model.image_size or the tile"
    return None


def _memory_left_mb() -> float | None:
    """MB that this process may still take, of its limit on address space (``ulimit -v``) and of the machine's memory.

    None where the system reports neither.
    """
    left = []
    with contextlib.suppress(OSError, ImportError):
        import resource

        available = re.search(r"^MemAvailable:\s*(\d+) kB", MEMINFO.read_text(), re.MULTILINE)
        left += [int(available[1]) * 1024 / 1e6] if available else []
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            left.append((limit - int(STATM.read_text().split()[0]) * resource.getpagesize()) / 1e6)
    return min(left, default=None)


def _stopped(number: int, resumable: Resumable) -> tuple[str, int]:
    """Message and exit code of a command that a signal ended."""
    again = ": the same command resumes from what is saved" if resumable() else ""
    what, code = ("terminated", TERMINATED) if number == signal.SIGTERM else ("interrupted", INTERRUPTED)
    return f"{what}{again}", code


@contextlib.contextmanager
def _ended_in_time(resumable: Resumable) -> Iterator[None]:
    """End the process ``GRACE_S`` after SIGINT or SIGTERM when it is still at work then.

    Python's own handlers wait for the native call that runs, which may take minutes. What is written is whole at any
    moment (``compress.files``), so that nothing is lost.
    """
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ended = threading.Event()

    def watch() -> None:
        while number := os.read(reader, 1):
            if number[0] in (signal.SIGINT, signal.SIGTERM) and not ended.wait(GRACE_S):
                message, code = _stopped(number[0], resumable)
                say_last(message)
                os._exit(code)
        os.close(reader)

    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True, name="signals").start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(writer)


@contextlib.contextmanager
def _signals(came: list[int]) -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt, so that stages clean up after themselves, and are noted in ``came``.

    A SIGINT that is ignored, as in a shell's background job, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        note_signal()
        raise KeyboardInterrupt

    def lost(what: "sys.UnraisableHookArgs") -> None:
        """An interruption raised inside a finalizer or a library's callback travels no further: try again elsewhere."""
        if came and issubclass(what.exc_type, KeyboardInterrupt):
            threading.Timer(AGAIN_S, os.kill, (os.getpid(), came[-1])).start()
        else:
            tell(what)

    handled = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in handled}
    tell, sys.unraisablehook = sys.unraisablehook, lost
    try:
        yield
    finally:
        sys.unraisablehook = tell
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Send to stderr whatever libraries print to stdout meanwhile, from Python or from C."""
    sys.stdout.flush()
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            saved = os.dup(1)
            stack.callback(os.close, saved)
            os.dup2(2, 1)
            stack.callback(_restore, saved)
        yield


def _restore(saved: int) -> None:
    # C libraries buffer their output: unflushed, it would appear after the results.
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)
    os.dup2(saved, 1)
