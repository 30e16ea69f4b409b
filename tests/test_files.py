"""Whole files or none, whatever stops the writer."""

import errno
import hashlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import compress
from compress.errors import InputError
from compress.files import (
    PART,
    append_line,
    check_output,
    check_room,
    check_writable,
    locked,
    open_plain,
    real_path,
    remove_unfinished,
    sha256_file,
    sha256_text,
    temporary_folder,
    whole_file,
    write_text,
)


def python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a process of its own, from any folder."""
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | paths)


def test_a_file_appears_whole_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "a/b/text.txt"
    write_text(path, "grüße\n")
    assert path.read_bytes() == "grüße\n".encode()
    assert os.listdir(path.parent) == ["text.txt"]


@pytest.mark.skipif(os.name == "nt", reason="no umask there")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027, 0o777, 0])
@pytest.mark.parametrize("there", [False, True])
def test_the_rights_of_a_file_are_what_its_user_leaves_to_others(there: bool, mask: int, tmp_path: Path) -> None:
    """A restored picture may be private: with the umask 077 nobody else reads it."""
    path = tmp_path / "text.txt"
    if there:
        path.write_text("old")
    before = os.umask(mask)
    try:
        write_text(path, "new")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600 | (0o666 & ~mask)
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="no umask there")
def test_a_place_that_takes_no_rights_is_written_to_or_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network shares refuse every change of rights."""

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refuse)
    write_text(tmp_path / "text.txt", "new")
    before = os.umask(0o777)
    try:
        with pytest.raises(InputError, match="cannot be written"):
            write_text(tmp_path / "text.txt", "newer")
    finally:
        os.umask(before)
    assert os.listdir(tmp_path) == ["text.txt"] and (tmp_path / "text.txt").read_text() == "new"


def test_a_failed_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as part:
        part.write_text("half of the new")
        _ = 1 / 0
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["model.bin"])


KILLED = """
import os, signal, sys
from pathlib import Path
from compress.files import whole_file
with whole_file(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_the_old_file_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    write_text(path, "old")
    assert python(KILLED, path).returncode == -9
    left = [p.name for p in tmp_path.iterdir() if p != path]
    assert path.read_text() == "old"
    assert len(left) == 1 and left[0].startswith(".part-")


FULL = """
import resource, sys
from pathlib import Path
from compress.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_text(Path(sys.argv[1]), "x" * 5000)
except Exception as error:
    print(type(error).__name__, error, sep=": ")
"""


def test_no_space_is_one_line_and_no_half_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert python(FULL, path).stdout == (
        f"InputError: {path}: cannot be written (File too large): raise ulimit -f, or choose another disk\n"
    )
    assert os.listdir(tmp_path) == []


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    path = tmp_path / "out/results.json"
    with pytest.raises(InputError) as caught:
        write_text(path, "x")
    assert (
        str(caught.value)
        == f"{path}: cannot be written (File exists): choose another folder, a file of that name is in the way"
    )


def test_hashes(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "abc")
    wanted = hashlib.sha256(b"abc").hexdigest()
    assert sha256_file(tmp_path / "a") == sha256_text("abc") == wanted


HOLDING = """
import sys, time
from pathlib import Path
from compress.files import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(0.5)
"""


def test_a_second_run_waits_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | paths) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with locked(tmp_path, said.append):
            pass
    assert said == [f"{tmp_path}: another run is at work there, waiting for it"]


def test_a_killed_run_does_not_hold_its_folder(tmp_path: Path) -> None:
    python("import os, sys\n" + HOLDING.replace("time.sleep(0.5)", "os.kill(os.getpid(), 9)"), tmp_path)
    said: list[str] = []
    with locked(tmp_path, said.append):
        pass
    assert said == []


def test_temporary_folders_of_a_run_are_in_its_own(tmp_path: Path) -> None:
    with locked(tmp_path / "run", print):
        with temporary_folder() as folder:
            assert Path(folder).parent == tmp_path / "run" and Path(folder).name.startswith(PART)
        assert not Path(folder).exists()
    with temporary_folder() as folder:
        assert tmp_path not in Path(folder).parents


# --- before a long work ---------------------------------------------------------------------------------------


def test_what_another_run_has_underway_in_a_folder_below_stays(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for left in (tmp_path / f"{PART}file", tmp_path / "sub" / f"{PART}file"):
        left.touch()
    (tmp_path / f"{PART}folder").mkdir()
    with locked(tmp_path / "search", print), temporary_folder() as inner:
        remove_unfinished(tmp_path)
        assert Path(inner).is_dir()
    assert {path.name for path in tmp_path.rglob("*")} == {"sub", "search", ".lock"}


@pytest.mark.parametrize("name", ["n" * 256, "й" * 128, f"new/{'n' * 256}/x"])
def test_a_name_that_is_too_long_is_told_before_it_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bytes, a name there at most 255: choose a shorter one"):
        check_room(tmp_path, ["x", name])
    with pytest.raises(InputError, match="choose a shorter one"):
        check_output(tmp_path / name)
    with pytest.raises(InputError, match="choose a shorter one"):
        check_room(tmp_path / name)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the path is too long, at most 4096"):
        check_room(tmp_path, ["/".join(["n" * 200] * 21)])


def test_what_passes_can_be_written(tmp_path: Path) -> None:
    name = "x." + "n" * 253
    check_output(tmp_path / "new" / name)
    write_text(tmp_path / "new" / name, "text")


def test_outputs_that_would_fail_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, text in (
        (tmp_path, "is a folder"),
        (tmp_path / "file/x", "not a folder"),
        (tmp_path / "file", "is what"),
    ):
        with pytest.raises(InputError, match=text):
            check_output(path, [tmp_path / "file"])
    check_output(tmp_path / "file")


# --- what is told of an error ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "(No space left on device): free some space there"),
        (errno.EACCES, "(Permission denied): get the rights to it, or choose another place"),
        (errno.EROFS, "(Read-only file system): choose a place that can be written"),
        (errno.ENAMETOOLONG, "(File name too long): choose a shorter name"),
        (errno.ESTALE, "(Stale file handle): see that the network share is there, and run it again"),
        (errno.EXDEV, "(Invalid cross-device link): choose another place, or run it again"),
    ],
)
def test_each_error_is_told_as_what_it_is(number: int, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(text)), whole_file(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


class LibrarysOwn(OSError):
    """As requests' errors are."""


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/another/file"),
        PermissionError(errno.EACCES, "Permission denied", "/another/file"),
        LibrarysOwn("proxy refused"),
    ],
    ids=repr,
)
def test_what_is_not_about_the_file_stays_what_it_is(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, whole_file(tmp_path / "x"):
        raise error
    assert caught.value is error
    assert not list(tmp_path.iterdir())


def test_links_in_a_circle_have_a_path(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to(".")
    assert real_path(tmp_path / "a" / "x").name == "x"
    assert real_path(tmp_path / "c" / "x") == real_path(tmp_path) / "x"


def test_no_other_module_resolves_links() -> None:
    """Path.resolve raises RuntimeError at links in a circle: it stands only where no user gives the path."""
    package = Path(compress.__file__).parent
    users = [p.relative_to(package).as_posix() for p in package.rglob("*.py") if ".resolve()" in p.read_text("utf-8")]
    assert sorted(users) == ["bundle/manifest.py", "python_process.py"]


SPECIAL = {
    "pipe": lambda path: os.mkfifo(path),
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "link to a device": lambda path: path.symlink_to("/dev/null"),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, `-o /dev/null` would take it away from every program of the machine."""
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    SPECIAL[kind](Path("out"))
    Path("dev").mkdir()
    monkeypatch.setattr("compress.files.DEVICES", tmp_path / "dev")
    before = os.lstat("out").st_mode
    for write in (check_output, check_writable, lambda path: write_text(path, "x")):
        for path in (Path("out"), Path("dev/null"), tmp_path / "dev/stdout"):
            with pytest.raises(InputError, match="is a pipe or a device, not a file: name a file to write"):
                write(path)
    assert os.lstat("out").st_mode == before and sorted(os.listdir()) == ["dev", "out"] and not os.listdir("dev")


def test_a_link_to_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("x")
    (tmp_path / "out").symlink_to("victim")
    write_text(tmp_path / "out", "y")
    assert (tmp_path / "victim").read_text() == "x" and not (tmp_path / "out").is_symlink()


@pytest.mark.parametrize("kind", [*SPECIAL, "link to a file", "link to nothing", "folder"])
def test_a_line_is_added_to_a_plain_file_only(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training goes on in a folder that may be a stranger's: its log may lead to any file of the user's."""
    monkeypatch.chdir(tmp_path)
    Path("victim").write_text("x")
    makers = {
        **SPECIAL,
        "link to a file": lambda path: path.symlink_to("victim"),
        "link to nothing": lambda path: path.symlink_to("new"),
        "folder": Path.mkdir,
    }
    makers[kind](Path("log"))
    with pytest.raises(InputError, match=r"^log: cannot be written \(.*\): [^\n]*$"):
        append_line(Path("log"), "y")
    assert Path("victim").read_text() == "x" and not Path("new").exists()


def test_lines_are_added(tmp_path: Path) -> None:
    for text in ("é", "y"):
        append_line(tmp_path / "new/log", text)
    assert (tmp_path / "new/log").read_text("utf-8") == "é\ny\n"


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_plain_file_is_not_opened(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    SPECIAL[kind](Path("x"))
    with pytest.raises((ValueError, OSError)), open_plain(Path("x")):
        pass


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """A lock's file is emptied: a stranger's folder could have any file of the user's emptied."""
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.lock").symlink_to(tmp_path / "kept")
    with pytest.raises(InputError, match=r"\.lock: is a link, .*: remove the link$"), locked(tmp_path / "run", print):
        pass
    assert (tmp_path / "kept").read_text() == "kept"
