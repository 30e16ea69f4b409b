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

_HEAD = struct.Struct("=iidi")  # calls at work, signals that came, when a call last began or ended, bytes of the name
_LONGEST = 4096  # bytes of a name


class NativeWork:
    """Notes in memory that is shared with the children of this process."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _HEAD.size + _LONGEST)
        self._lock = threading.Lock()

    def begin(self, name: str) -> None:
        """Note that a call of compiled code begins, on the file ``name``."""
        data = name.encode("utf-8", "surrogateescape")[:_LONGEST]
        with self._lock:
            self._shared[_HEAD.size : _HEAD.size + len(data)] = data
            self._note(1, len(data))

    def end(self) -> None:
        """Note that one has ended."""
        with self._lock:
            self._note(-1)

    def signalled(self) -> None:
        """Note a signal. No lock: a handler interrupts whoever holds it."""
        calls, signals, since, size = _HEAD.unpack_from(self._shared)
        _HEAD.pack_into(self._shared, 0, calls, signals + 1, since, size)

    @property
    def signals(self) -> int:
        """How many signals were noted."""
        return int(_HEAD.unpack_from(self._shared)[1])

    def at_work(self) -> tuple[str, float] | None:
        """The file that is being read or run, and the time at which a call last began or ended."""
        calls, _, since, size = _HEAD.unpack_from(self._shared)
        if calls < 1:
            return None
        return self._shared[_HEAD.size : _HEAD.size + size].decode("utf-8", "surrogateescape"), since

    def _note(self, more: int, size: int | None = None) -> None:
        calls, signals, _, before = _HEAD.unpack_from(self._shared)
        _HEAD.pack_into(self._shared, 0, calls + more, signals, time.monotonic(), before if size is None else size)


_watched: NativeWork | None = None


def be_watched(work: NativeWork) -> None:
    """From here on this process notes what it does in ``work``."""
    global _watched
    _watched = work


@contextmanager
def native_work(name: str | Path) -> Iterator[None]:
    """Around a call of compiled code on the file ``name``; nothing where nobody watches."""
    work = _watched
    if work is None:
        yield
        return
    work.begin(str(name))
    try:
        yield
    finally:
        work.end()


def note_signal() -> None:
    """This process has taken a signal: who watches it need not send that again."""
    if _watched is not None:
        _watched.signalled()
