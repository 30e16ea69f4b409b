"""Locks between the processes of a device."""

import contextlib
import fcntl
import os
from typing import Iterator

from compress.targets.runner.failure import Failure


def open_lock(path: str) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags)  # another user's: /tmp may refuse O_CREAT on it
    except FileNotFoundError:
        old = os.umask(0)
        try:
            return os.open(path, flags | os.O_CREAT, 0o666)
        finally:
            os.umask(old)


def is_locked(path: str) -> bool:
    handle = open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def lock_handle(path: str, *, wait: bool) -> int:
    """A handle of the locked file that now has this name: its last holder deletes it."""
    while True:
        handle = open_lock(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            who = os.read(handle, 200).decode("utf-8", "replace").strip() or "by another job"
            os.close(handle)
            raise Failure(f"is in use ({who}, lock {path}): try again when that is done") from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)


@contextlib.contextmanager
def lock(path: str, holder: str, *, wait: bool = False) -> Iterator[None]:
    """Hold ``path`` while this process lives. Raises Failure when another one does and ``wait`` is not set."""
    try:
        handle = lock_handle(path, wait=wait)
    except OSError as error:
        raise Failure(f"lock {path} cannot be opened there ({error}): give another in the target's ssh.lock") from None
    try:
        os.ftruncate(handle, 0)
        os.write(handle, holder.encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.unlink(path)
        os.close(handle)
