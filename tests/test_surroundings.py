"""A process without a home, a user's name, open streams or a wide encoding."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import compress
from compress.cache import cache_folder
from compress.cli.guard import guard
from compress.errors import InputError
from compress.ledger.place import ledger_url
from compress.ledger.record import record_apply
from compress.python_process import ROOT
from compress.surroundings import expanded, has_home, is_on, user_name
from compress.targets.browser.onnxruntime_web import folder

UNKNOWN = "import pwd\ndef none(*_): raise KeyError('no entry')\npwd.getpwuid = pwd.getpwnam = none\n"
MAIN = "import sys\nfrom compress.cli.commands import main\nsys.argv[1:] = {words!r}\nmain()\n"


def run(words: list[str], before: str = "", shell: str = "", **settings: Any) -> "subprocess.CompletedProcess[bytes]":
    leave = {"HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "COMPRESS_CACHE", "COMPRESS_LEDGER_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in leave or not before}
    environment = {**kept, "PYTHONPATH": str(ROOT), **settings.pop("env", {})}
    command = [sys.executable, "-c", before + MAIN.format(words=words)]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(command, capture_output=True, env=environment, **settings)


@pytest.fixture()
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def none(*_: object) -> None:
        raise KeyError("no entry")

    for name in (
        "HOME",
        "USER",
        "LOGNAME",
        "LNAME",
        "USERNAME",
        "COMPRESS_CACHE",
        "COMPRESS_LEDGER_URL",
        "XDG_DATA_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", none)
    monkeypatch.setattr(pwd, "getpwnam", none)


@pytest.mark.parametrize(
    "words", [["ls", "recipes"], ["validate", "int8_sr"], ["targets", "ls", "x86-openvino"]], ids=str
)
def test_commands_of_nobody(words: list[str], tmp_path: Path) -> None:
    done = run(words, UNKNOWN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir()), "a folder named ~, perhaps"


@pytest.mark.usefixtures("nobody")
def test_places_of_nobody() -> None:
    assert not has_home()
    assert user_name() == f"uid{os.getuid()}"
    assert expanded("~/x") == Path("~/x")
    with pytest.raises(InputError, match=r"no cache folder, since there is no home folder: .* set COMPRESS_CACHE"):
        cache_folder()
    with pytest.raises(InputError, match=r"no ledger, since there is no home folder: .* set COMPRESS_LEDGER_URL"):
        ledger_url()


@pytest.mark.usefixtures("nobody")
def test_a_finished_bundle_of_nobody_is_finished(finished: Any) -> None:
    said: list[str] = []
    record_apply(finished.folder, said.append)
    assert len(said) == 1 and said[0].startswith("not recorded: no ledger, since there is no home folder")


def test_whatever_the_ledger_does_a_bundle_is_finished(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a driver's own\nerror")

    monkeypatch.setattr("compress.ledger.open_ledger", broken)
    said: list[str] = []
    record_apply(finished.folder, said.append)
    later = f"later: `compress ledger import {finished.folder}`"
    assert said == [f"not recorded: RuntimeError: a driver's own error; {later}"]


def test_a_user_that_is_not_there() -> None:
    assert expanded("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")


def test_the_browsers_runtime_is_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path))
    assert folder().parent == tmp_path


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, tmp_path: Path) -> None:
    """Nothing is printed into a file that got the number of a closed stream."""
    out = tmp_path / "schema.json"
    before = f"out = open({str(out)!r}, 'w')\n" if closed == ">&-" else ""
    done = run(["validate", "int8_sr"], before, closed, env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout == (b"" if ">&- " in closed + " " and closed != "2>&-" else b"int8_sr: valid\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_in_any_encoding(encoding: str) -> None:
    show = "import sys\nfrom compress.surroundings import make_do\nfrom compress.cli.output import show\nmake_do()\n"
    code = show + "show({'name': 'caf\\u00e9 \\u5199\\u771f \\udce9'}, as_json=True)"
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert json.loads(done.stdout.decode(encoding)) == {"name": "caf\u00e9 \u5199\u771f \udce9"}, done.stderr


def test_tables_in_ascii() -> None:
    table = "from rich.text import Text\nclass Found:\n    def table(self):\n        return Text('caf\u00e9 \u00b7')\n"
    code = "from compress.surroundings import make_do\nfrom compress.cli.output import show\nmake_do()\n" + table
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code + "Found.to_json = dict\nshow(Found(), as_json=False)"]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, b"caf\\xe9 \\xb7"), done.stderr


@pytest.mark.parametrize(
    ("value", "on"),
    [*((text, True) for text in ("1", "ON", "true", "yes")), *((text, False) for text in ("", "0", "off", "No", " "))],
)
def test_what_turns_a_variable_on(value: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_X", value)
    assert is_on("COMPRESS_X") is on and not is_on("COMPRESS_Y")


@pytest.mark.skipif(os.name == "nt", reason="no current folder is removed there")
@pytest.mark.parametrize("words", [["ls", "recipes"], ["verify", "bundle"], ["--help"]])
def test_a_current_folder_that_was_removed_is_one_line(words: list[str]) -> None:
    leave = "import os, tempfile\nfolder = tempfile.mkdtemp()\nos.chdir(folder)\nos.rmdir(folder)\n"
    done = run(words, leave)
    line = "the current folder was removed, or cannot be read: change to another, then run the command again\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", line)


@pytest.mark.skipif(os.name == "nt", reason="no current folder is removed there")
def test_from_python_and_while_a_command_runs_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(InputError, match=r"^the current folder was removed"):
        compress.open("./model")
    with pytest.raises(typer.Exit) as end, guard(lambda: False):
        os.getcwd()
    assert end.value.exit_code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_the_exit_code_is_kept_where_stderr_cannot_be_written(tmp_path: Path) -> None:
    assert run(["verify", str(tmp_path / "none")], shell="2>/dev/full").returncode == 2
