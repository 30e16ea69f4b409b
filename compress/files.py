"""Whole files or none: everything is written beside its place, flushed to disk, then renamed."""

import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from compress.errors import InputError
from compress.surroundings import NO_CURRENT_FOLDER, has_current_folder
from compress.text import printable

PART = ".part-"
LOCK = ".lock"
DEVICES = Path("/dev")
TEMPORARY = 16
"""Characters of the suffix of a temporary file, at most, and more than is put before it."""
_run_folder: ContextVar[Path | None] = ContextVar("run_folder", default=None)


# What a person can do about an error of a file system.
_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, your share of the disk is used up",
    errno.EFBIG: "raise ulimit -f, or choose another disk",
    errno.EACCES: "get the rights to it, or choose another place",
    errno.EPERM: "get the rights to it, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "mend its links, which lead in a circle",
    errno.ENOTDIR: "choose another folder, a part of this path is a file",
    errno.EISDIR: "name a file, this is a folder",
    errno.EEXIST: "choose another folder, a file of that name is in the way",
    errno.ENOENT: "see that its folder is still there, and run it again",
    errno.EBUSY: "close what uses it, and run it again",
    errno.ESTALE: "see that the network share is there, and run it again",
    errno.EIO: "check the disk, or the connection to it",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, too many files are open",
}
_OF_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EACCES, errno.EPERM, errno.EROFS}
_OF_PLACE |= {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EBUSY, errno.ESTALE}
# OSErrors, but of a connection or another process, whatever file is being written meanwhile.
_ELSEWHERE = (ConnectionError, TimeoutError, ChildProcessError, ProcessLookupError, InterruptedError, BlockingIOError)


def what_to_do(error: OSError) -> str:
    """The next step after an error of the file system, for the end of a message."""
    return _REMEDIES.get(error.errno or 0, "choose another place, or run it again")


def of_place(error: BaseException) -> str | None:
    """One line on a place that cannot be written or read (space, rights, its name); None for any other error."""
    if not isinstance(error, OSError):
        return None
    if isinstance(error, FileNotFoundError) and not has_current_folder():
        return NO_CURRENT_FOLDER
    if error.errno not in _OF_PLACE:
        return None
    where = printable(os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "output")
    return f"{where}: cannot be written or read ({error.strerror}): {what_to_do(error)}"


def _why(error: OSError) -> str:
    return " ".join(str(error.strerror or error or type(error).__name__).split())


def _is_about(error: OSError, part: Path) -> bool:
    """Whether an error that came while ``part`` was written is about it: libraries' own kinds of OSError, and errors
    that name another file, are not.
    """
    if isinstance(error, _ELSEWHERE) or type(error).__module__ != "builtins":
        return False
    return error.filename is None or os.fspath(error.filename) in (str(part), os.fsencode(part), str(part.parent))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it there when the block ends well, remove it when not.

    Raises InputError, one line, when the file cannot be written; what else fails in the block stays as it is.
    """
    part = _part(path)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        if not _is_about(error, part):
            raise
        raise InputError(f"{path}: cannot be written ({_why(error)}): {what_to_do(error)}") from None
    finally:
        part.unlink(missing_ok=True)


def check_room(folder: Path, files: Iterable[str] = ("",)) -> None:
    """Raise InputError where ``files``, paths below ``folder``, have longer names than the file system there takes."""
    folder = folder.absolute()
    there = next(p for p in (folder, *folder.parents) if os.path.exists(p))  # False for a name that is too long
    longest, deepest = _limits(there)
    for file in files:
        path = folder / file
        for part in path.parts[len(there.parts) :]:
            if (size := len(os.fsencode(part))) > longest:
                raise InputError(
                    f"{path}: {part!r} has {size} bytes, a name there at most {longest}: choose a shorter one"
                )
        # Beside a file there is a temporary one for a while, whose name may be the longer one.
        if (size := len(os.fsencode(path)) + len(PART) + 2 * TEMPORARY) > deepest:
            raise InputError(f"{path}: with {size} bytes the path is too long, at most {deepest}: choose a shorter one")


def _limits(folder: Path) -> tuple[int, int]:
    """Bytes that a name and a whole path may have in ``folder``."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX"), os.pathconf(folder, "PC_PATH_MAX")
    except (AttributeError, OSError, ValueError):  # no POSIX
        return 255, 260


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Raise InputError unless a file can be written at ``path``, which is not one of ``inputs``: before a long work."""
    check_room(path.parent, [path.name])
    if path.is_dir():
        raise InputError(f"{path}: is a folder: name a file to write")
    _check_replaceable(path)
    if any(path.exists() and given.exists() and path.samefile(given) for given in inputs):
        raise InputError(f"{path}: is what is read: name another file to write")
    parent = next(p for p in path.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        why = "no rights to write there" if parent.is_dir() else "not a folder"
        raise InputError(f"{path}: cannot be written ({parent}: {why}): choose another folder")


def check_new(path: Path, *, overwrite: bool) -> None:
    """Raise InputError for a file that is there already and not to be replaced."""
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists: name another file, or replace it (--overwrite)")


def check_writable(path: Path) -> None:
    """Raise InputError before long work, where ``whole_file`` would after it. Makes the folder."""
    _part(path).unlink()


def _check_replaceable(path: Path) -> None:
    """Raise InputError for a pipe or a device, or a link to one: renaming a file to /dev/null would take it away from
    every program of the machine.
    """
    if path.absolute().parent == DEVICES or (path.exists() and not (path.is_file() or path.is_dir())):
        raise InputError(f"{path}: is a pipe or a device, not a file: name a file to write")


def _part(path: Path) -> Path:
    """An empty file beside ``path``, whose folder is made; with the rights that the user's umask leaves it."""
    _check_replaceable(path)
    part = path.with_name(f"{PART}{secrets.token_hex(4)}{path.suffix[:TEMPORARY]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            mode = stat.S_IMODE(os.fstat(handle).st_mode)
            if mode & 0o600 != 0o600:  # under an umask that takes the user's own rights away: it is written yet
                part.chmod(0o600 | mode)
        except OSError:
            part.unlink()
            raise
        finally:
            os.close(handle)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({_why(error)}): {what_to_do(error)}") from None
    return part


def write_text(path: Path, text: str) -> None:
    """Write ``text`` whole, as UTF-8."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_buffer(path: Path, buffer: io.BytesIO) -> None:
    """Write what ``buffer`` holds whole, without a copy."""
    # Path.write_bytes leaves a view to the collector of cycles when it fails, which ends Python 3.12.1 by SIGSEGV.
    with whole_file(path) as part, part.open("wb") as file, buffer.getbuffer() as view:
        file.write(view)


def append_line(path: Path, text: str) -> None:
    """Add a line of UTF-8 to a file, which is made, its folder too. What a link names is not written: in a stranger's
    folder it may be any file of the user's. Raises InputError where ``path`` cannot be written, or is no plain file.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, flags, 0o644), "a", encoding="utf-8") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "no plain file")
            file.write(f"{text}\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({_why(error)}): {what_to_do(error)}") from None


class TooLong(ValueError):
    """A file has more bytes than are read of it."""


@contextmanager
def open_plain(path: Path) -> Iterator[io.BufferedReader]:
    """A plain file, open for reading: where a stranger may have put a pipe, which would be waited for, or a device.

    Raises OSError, and ValueError for what is not a plain file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("no plain file")
        yield file


def read_plain(path: Path, most: int) -> bytes:
    """The bytes of a plain file, at most ``most``: a stranger's may have a terabyte.

    Raises as ``open_plain``, and TooLong for a file that has more.
    """
    with open_plain(path) as file:
        # Python takes room for as much as is asked for.
        data = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
    if len(data) > most:
        raise TooLong(f"has more than {most} bytes")
    return data


def real_path(path: Path) -> Path:
    """``path``, absolute and without links. Of links in a circle, of which Path.resolve makes a RuntimeError, it keeps
    the name, and opening it is an OSError."""
    return Path(os.path.realpath(path))


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
        path = folder / LOCK
        if path.is_symlink():  # before 3.20.1, filelock followed it
            raise InputError(f"{path}: is a link, and the file that it leads to would be emptied: remove the link")
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{folder}: another run is at work there, waiting for it")
            lock.acquire()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({_why(error)}): {what_to_do(error)}") from None
    token = _run_folder.set(folder)
    try:
        yield
    finally:
        _run_folder.reset(token)
        lock.release()


def remove_unfinished(folder: Path) -> None:
    """Remove what killed runs left beside good files; for whoever holds ``folder`` (``locked``). A folder in it that
    others lock stays as it is: a search may be at work there.
    """
    for root, folders, names in os.walk(folder):
        at = Path(root)
        for name in [name for name in folders if name.startswith(PART)]:
            shutil.rmtree(at / name, ignore_errors=True)
        for name in names:
            if name.startswith(PART):
                (at / name).unlink(missing_ok=True)
        folders[:] = [name for name in folders if not (name.startswith(PART) or (at / name / LOCK).exists())]


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder to be removed after use: inside the folder that is ``locked``, where the next run finds it if this one
    is killed, else among the system's.
    """
    return tempfile.TemporaryDirectory(prefix=PART, dir=_run_folder.get())
