"""What compiled code is doing with a file that may be a stranger's, noted where a process that watches this sees it.

A runtime, or a decoder of pictures, can end the process (SIGSEGV, SIGFPE, an assertion), or never come back. No Python
code of this process can then say a word; ``compress.cli.watch`` can.
"""

import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from compress.errors import CompressError

# Calls at work, signals that came, when a call last began or ended, its own limits in s and bytes of memory, exit code
# where one has passed, bytes of the name, and of the message.
_HEAD = struct.Struct("=iiddqiii")
_LONGEST = 4096  # bytes of a name, and of a message


class AtWork(NamedTuple):
    """A call at work: the file that is being read or run, when a call last began or ended, and its own limits or 0.

    ``late``: the message and exit code where a limit has passed; None: those of a file.
    """

    name: str
    since: float
    limit_s: float
    limit_bytes: int
    late: tuple[str, int] | None = None


class NativeWork:
    """Notes in memory that is shared with the children of this process."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _HEAD.size + 2 * _LONGEST)
        self._lock = threading.Lock()

    def begin(self, name: str, limit_s: float = 0.0, late: CompressError | None = None, limit_bytes: int = 0) -> None:
        """Note that a call of compiled code begins, on the file ``name``; ``limit_s``: 0: the usual limit."""
        data, words = (text.encode("utf-8", "surrogateescape")[:_LONGEST] for text in (name, str(late or "")))
        with self._lock:
            self._shared[_HEAD.size : _HEAD.size + len(data) + len(words)] = data + words
            self._note(1, (limit_s, limit_bytes, late.exit_code if late else 0, len(data), len(words)))

    def end(self) -> None:
        """Note that one has ended."""
        with self._lock:
            self._note(-1)

    def signalled(self) -> None:
        """Note a signal. No lock: a handler interrupts whoever holds it."""
        calls, signals, *rest = _HEAD.unpack_from(self._shared)
        _HEAD.pack_into(self._shared, 0, calls, signals + 1, *rest)

    @property
    def signals(self) -> int:
        """How many signals were noted."""
        return int(_HEAD.unpack_from(self._shared)[1])

    def at_work(self) -> AtWork | None:
        """The call at work; None where there is none."""
        calls, _, since, limit_s, limit_bytes, code, *sizes = _HEAD.unpack_from(self._shared)
        if calls < 1:
            return None
        at, texts = _HEAD.size, []
        for size in sizes:
            texts.append(self._shared[at : at + size].decode("utf-8", "surrogateescape"))
            at += size
        return AtWork(texts[0], since, limit_s, limit_bytes, (texts[1], code) if texts[1] else None)

    def _note(self, more: int, begun: tuple[float, int, int, int, int] | None = None) -> None:
        calls, signals, _, *before = _HEAD.unpack_from(self._shared)
        _HEAD.pack_into(self._shared, 0, calls + more, signals, time.monotonic(), *(begun or before))


def taken_bytes(process: int | str) -> int:
    """Memory that a process has taken, by its number or "self"; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


_watched: NativeWork | None = None


def be_watched(work: NativeWork) -> None:
    """From here on this process notes what it does in ``work``."""
    global _watched
    _watched = work


@contextmanager
def native_work(
    name: str | Path, limit_s: float = 0.0, late: CompressError | None = None, more_bytes: int = 0
) -> Iterator[None]:
    """Around a call of compiled code on the file ``name``; nothing where nobody watches.

    ``limit_s``: how long it may take, where that is less than a model or a picture may; ``more_bytes``: memory that it
    may take, where that is bounded. ``late``: what the command ends with after that, where a server and no file is to
    blame.
    """
    work = _watched
    if work is None:
        yield
        return
    work.begin(str(name), limit_s, late, more_bytes and taken_bytes("self") + more_bytes)
    try:
        yield
    finally:
        work.end()


def note_signal() -> None:
    """This process has taken a signal: who watches it need not send that again."""
    if _watched is not None:
        _watched.signalled()
