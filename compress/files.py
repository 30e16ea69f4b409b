"""Whole files or none: everything is written beside its place, flushed to disk, then renamed."""

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from compress.errors import InputError

PART = ".part-"
_run_folder: ContextVar[Path | None] = ContextVar("run_folder", default=None)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it there when the block ends well, remove it when not.

    Raises InputError, one line, when the folder cannot be written or the disk is full.
    """
    part = _part(path)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}): free some space or rights") from None
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise InputError before long work, where ``whole_file`` would after it. Makes the folder."""
    _part(path).unlink()


def _part(path: Path) -> Path:
    """An empty file beside ``path``, whose folder is made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{PART}", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}): choose another folder") from None
    return Path(name)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` whole, as UTF-8."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_buffer(path: Path, buffer: io.BytesIO) -> None:
    """Write what ``buffer`` holds whole, without a copy."""
    # Path.write_bytes leaves a view to the collector of cycles when it fails, which ends Python 3.12.1 by SIGSEGV.
    with whole_file(path) as part, part.open("wb") as file, buffer.getbuffer() as view:
        file.write(view)


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex sha256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold ``folder`` for one run at a time; another waits and says so. Raises InputError when it cannot be written."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{folder}: another run is at work there, waiting for it")
            lock.acquire()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}): choose another folder with --out") from None
    token = _run_folder.set(folder)
    try:
        yield
    finally:
        _run_folder.reset(token)
        lock.release()


def remove_unfinished(folder: Path) -> None:
    """Remove what killed runs left beside good files; for whoever holds ``folder`` (``locked``)."""
    for path in list(folder.rglob(f"{PART}*")):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder to be removed after use: inside the folder that is ``locked``, where the next run finds it if this one
    is killed, else among the system's.
    """
    return tempfile.TemporaryDirectory(prefix=PART, dir=_run_folder.get())
