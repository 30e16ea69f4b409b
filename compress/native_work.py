"""What compiled code is doing with a file that may be a stranger's, noted where a process that watches this sees it.

A runtime, or a decoder of pictures, can end the process (SIGSEGV, SIGFPE, an assertion), or never come back. No Python
code of this process can then say a word; ``compress.cli.watch`` can.
"""

import mmap
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Calls at work, signals that came, when a call last began or ended, its own limit in s, bytes of the name.
_HEAD = struct.Struct("=iiddi")
_LONGEST = 4096  # bytes of a name


class NativeWork:
    """Notes in memory that is shared with the children of this process."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _HEAD.size + _LONGEST)
        self._lock = threading.Lock()

    def begin(self, name: str, limit_s: float = 0.0) -> None:
        """Note that a call of compiled code begins, on the file ``name``; ``limit_s``: 0: the usual limit."""
        data = name.encode("utf-8", "surrogateescape")[:_LONGEST]
        with self._lock:
            self._shared[_HEAD.size : _HEAD.size + len(data)] = data
            self._note(1, (limit_s, len(data)))

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

    def at_work(self) -> tuple[str, float, float] | None:
        """The file that is being read or run, the time at which a call last began or ended, and its own limit or 0."""
        calls, _, since, limit_s, size = _HEAD.unpack_from(self._shared)
        if calls < 1:
            return None
        return self._shared[_HEAD.size : _HEAD.size + size].decode("utf-8", "surrogateescape"), since, limit_s

    def _note(self, more: int, begun: tuple[float, int] | None = None) -> None:
        calls, signals, _, *before = _HEAD.unpack_from(self._shared)
        _HEAD.pack_into(self._shared, 0, calls + more, signals, time.monotonic(), *(begun or before))


_watched: NativeWork | None = None


def be_watched(work: NativeWork) -> None:
    """From here on this process notes what it does in ``work``."""
    global _watched
    _watched = work


@contextmanager
def native_work(name: str | Path, limit_s: float = 0.0) -> Iterator[None]:
    """Around a call of compiled code on the file ``name``; nothing where nobody watches.

    ``limit_s``: how long it may take, where that is less than a model or a picture may.
    """
    work = _watched
    if work is None:
        yield
        return
    work.begin(str(name), limit_s)
    try:
        yield
    finally:
        work.end()


def note_signal() -> None:
    """This process has taken a signal: who watches it need not send that again."""
    if _watched is not None:
        _watched.signalled()
