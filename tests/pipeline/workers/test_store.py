"""The store: whole files or none, folders with what says that they are complete, refusals in one line."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from compress.errors import InputError
from compress.pipeline.workers import Store
from compress.python_process import ROOT
from tests.reliability.strange_server import strange_server

MOTO = "moto[server]==5.2.5"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a folder in moto's S3 server, whose packages lie apart: it needs an older python-dateutil."""
    home = tmp_path_factory.mktemp("moto")
    # Not compiled: the server imports a hundredth of botocore.
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", str(home), MOTO]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"{MOTO} cannot be reached from here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{free.getsockname()[1]}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", at.rpartition(":")[2]],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(home)},
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}
            for name, value in keys.items():
                patch.setenv(name, value)
            _bucket(at)
            yield f"s3://bucket/sweeps?endpoint_override={at}&scheme=http&region=us-east-1"
    finally:
        server.terminate()
        server.wait()


def _bucket(at: str) -> None:
    for _ in range(240):
        try:
            urlopen(Request(f"http://{at}/bucket", method="PUT"), timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.5)
    pytest.fail("moto's server did not start")


@pytest.fixture(params=["folder", pytest.param("s3", marks=[pytest.mark.slow, pytest.mark.downloads])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else str(request.getfixturevalue("s3"))


def test_documents_files_and_folders(url: str, tmp_path: Path) -> None:
    store = Store(url)
    assert store.names("units") == set()
    store.check()
    assert store.read("units/a.json") is None
    store.write("units/a.json", {"bytes": 3})
    store.write("units/a.json", {"bytes": 4})
    assert store.read("units/a.json") == {"bytes": 4}
    assert store.names("units") == {"a"}
    store.remove("units/a.json")
    store.remove("units/a.json")
    assert store.names("units") == set()

    made = tmp_path / "made"
    (made / "int8").mkdir(parents=True)
    (made / ".stages").mkdir()
    for name in ("manifest.json", "int8/model.onnx", ".stages/kept", ".lock"):
        (made / name).write_text(name)
    store.put_folder(made, "bundles/k", "manifest.json")
    store.get_folder("bundles/k", tmp_path / "got", "manifest.json")
    got = [p.relative_to(tmp_path / "got").as_posix() for p in (tmp_path / "got").rglob("*") if p.is_file()]
    assert sorted(got) == ["int8/model.onnx", "manifest.json"]
    assert (tmp_path / "got/int8/model.onnx").read_text() == "int8/model.onnx"
    assert not store.get("bundles/k/none", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match="bundles/other is not there, though its record is: give another store"):
        store.get_folder("bundles/other", tmp_path / "other", "manifest.json")


def test_a_folder_shows_no_half_written_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("units/a.json", {})
    (tmp_path / "units" / ".part-1-b.json").write_text("{")
    assert store.names("units") == {"a"}
    assert [p.name for p in (tmp_path / "units").iterdir() if not p.name.startswith(".part-")] == ["a.json"]


def test_stores_that_refuse(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=rf"^store {tmp_path}/file/x: cannot be used .*its rights"):
        Store(f"{tmp_path}/file/x").check()
    with pytest.raises(InputError, match=r"^store nowhere://x: cannot be used "):
        Store("nowhere://x").check()
    if os.geteuid():  # root may write anywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(InputError, match="Permission denied"):
            Store(f"{tmp_path}/closed").check()


def test_keys_in_a_url_are_not_told() -> None:
    store = Store("s3://bucket/x?access_key=AK&secret_key=SECRET&endpoint_override=127.0.0.1:1&scheme=http")
    assert store.place == "s3://bucket/x"
    with pytest.raises(InputError) as refused:
        store.check()
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("url", ["s3://", "data:,x", "memory://", "zip://x::nosuch", "reference://", "a\0b"])
def test_a_place_that_its_system_refuses_is_one_line(url: str) -> None:
    """Each system of fsspec's has errors of its own."""
    store = Store(url)
    for ask in (lambda: store.names("units"), lambda: store.read("x.json"), lambda: store.write("x.json", 1)):
        try:
            ask()
        except InputError as error:
            assert str(error).isprintable()


def test_a_record_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    (tmp_path / "y.json").symlink_to("/dev/zero")
    for name in ("x.json", "y.json"):
        with pytest.raises(InputError, match=r"cannot be used \(no plain file\)"):
            Store(str(tmp_path)).read(name)


@pytest.mark.parametrize("url", ["memory://long", "FOLDER"])
def test_a_record_without_an_end_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(url.replace("FOLDER", str(tmp_path)))
    store.write("record.json", {"a": 1})
    assert store.read("record.json") == {"a": 1} and store.read("none.json") is None
    monkeypatch.setattr("compress.pipeline.workers.store.MOST_BYTES", 5)
    with pytest.raises(InputError, match=r"cannot be used \((record\.json )?has more than"):
        store.read("record.json")


def test_what_is_no_plain_file_is_not_fetched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    (tmp_path / "y").symlink_to("/dev/zero")
    for name in ("x", "y"):
        with pytest.raises(InputError, match=r"cannot be used \(no plain file\)"):
            Store(str(tmp_path)).get(name, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_a_key_that_leads_out_of_its_folder_is_not_fetched(tmp_path: Path) -> None:
    from fsspec.implementations.memory import MemoryFile

    store = Store("memory://keys")
    system, root = store._opened
    for name in ("manifest.json", "../../outside"):
        key = f"{root}/bundles/k/{name}"
        system.store[key] = MemoryFile(system, key, b"x")
    with pytest.raises(InputError, match=r"'\.\./\.\./outside' leads out of its folder"):
        store.get_folder("bundles/k", tmp_path / "a/b", "manifest.json")
    assert not list(tmp_path.iterdir())


def test_a_server_that_never_answers_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("compress.pipeline.workers.store.SILENT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"127.0.0.1:{silent.getsockname()[1]}"
        store = Store(f"s3://bucket/x?endpoint_override={at}&scheme=http&region=us-east-1")
        began = time.monotonic()
        for ask in (lambda: store.read("a.json"), lambda: store.write("a.json", {}), lambda: store.names("a")):
            with pytest.raises(InputError, match="store s3://bucket/x: cannot be used"):
                ask()
        assert time.monotonic() - began < 30


# --- a server that answers otherwise than S3 ----------------------------------------------------------------------

Talk = Callable[[socket.socket, str, str], None]
MISSING = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


def answer(body: bytes, code: int = 200, size: int | None = None) -> bytes:
    length = len(body) if size is None else size
    head = "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT\r\nContent-Type: application/xml"
    return f"HTTP/1.1 {code} X\r\n{head}\r\nContent-Length: {length}\r\n\r\n".encode() + body


def listing(*keys: str) -> bytes:
    objects = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    return answer(f"<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>".encode())


@contextmanager
def s3_server(talk: Talk) -> Iterator[str]:
    """The store's URL of a server that has each request answered by ``talk``, with its method and target."""

    def requests(connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError), connection.makefile("rb") as lines:
            while line := lines.readline().decode():
                while lines.readline().strip():
                    pass
                method, target, _ = line.split()
                talk(connection, method, target)

    with strange_server(requests) as port:
        yield f"s3://bucket/x?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"


@pytest.fixture()
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("compress.pipeline.workers.store.SILENT_S", 1.0)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (answer(REFUSED, 403), "ACCESS_DENIED"),
        (answer(b""), "bundles/k is not there, though its record is"),
        (answer(b"<html>hi"), "XML_ERROR_PARSING"),
        (listing("x/bundles/k/../../up"), "leads out of its folder"),
        (listing("elsewhere/file"), "not in the folder|leads out|is not there, though its record is"),
        (listing(*(f"x/bundles/k/{i}" for i in range(11))), "bundles/k has more than 10 files"),
        (listing(), "bundles/k is not there, though its record is: give another store"),
    ],
    ids=["refuses", "empty", "no xml", "out", "elsewhere", "many", "none"],
)
def test_a_listing_of_a_strange_server_is_one_line(
    listed: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.pipeline.workers.store.MOST_FILES", 10)
    with (
        s3_server(
            lambda connection, method, target: connection.sendall(
                MISSING if "prefix=" not in target and listed != answer(b"") else listed
            )
        ) as url,
        pytest.raises(InputError, match=why) as error,
    ):
        Store(url).get_folder("bundles/k", tmp_path / "got", "manifest.json")
    assert not list(tmp_path.iterdir()) and str(error.value).isprintable()


@pytest.mark.usefixtures("keys")
def test_a_file_without_an_end_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server says that it has 2^50 bytes, and gives some whenever it is asked."""
    monkeypatch.setattr("compress.pipeline.workers.store.MOST_FETCHED", 1000)

    def talk(connection: socket.socket, method: str, target: str) -> None:
        if "prefix=" in target:
            connection.sendall(listing("x/bundles/k/a", "x/bundles/k/manifest.json"))
        else:
            connection.sendall(answer(b"", size=2**50) if method == "HEAD" else answer(b"x" * 300, 206))

    with s3_server(talk) as url:
        for fetch in (
            lambda: Store(url).get("prefixes/k", tmp_path / "got"),
            lambda: Store(url).get_folder("bundles/k", tmp_path / "got", "manifest.json"),
        ):
            with pytest.raises(InputError, match=r"cannot be used \(\S+, or the whole of its folder, has"):
                fetch()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_is_bounded_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compress.pipeline.workers.store.MOST_FETCHED", 1000)
    for name in ("a", "b", "manifest.json"):
        (tmp_path / "made").mkdir(exist_ok=True)
        (tmp_path / "made" / name).write_bytes(b"x" * 400)
    Store(f"{tmp_path}/store").put_folder(tmp_path / "made", "bundles/k", "manifest.json")
    with pytest.raises(InputError, match=r"cannot be used \(bundles/k/\S+, or the whole of its folder, has"):
        Store(f"{tmp_path}/store").get_folder("bundles/k", tmp_path / "got", "manifest.json")
    assert not (tmp_path / "got/manifest.json").exists()


def test_a_file_that_was_not_sent_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a file of an object store says that it is whole, also after Ctrl-C."""
    monkeypatch.setattr("compress.pipeline.workers.store.BLOCK", 2)
    (tmp_path / "file").write_bytes(b"whole")
    store, written = Store("memory://sent"), []

    def block(self: object, data: bytes) -> int:
        written.append(data)
        if len(written) > 1:
            raise KeyboardInterrupt
        return len(data)

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFile.write", block)
    with pytest.raises(KeyboardInterrupt):
        store.put(tmp_path / "file", "prefixes/k")
    assert len(written) == 2 and store.get("prefixes/k", tmp_path / "got") is None


@pytest.mark.usefixtures("keys")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process watches")
@pytest.mark.parametrize("how", ["endless", "slow"])
def test_a_listing_that_has_no_end_is_refused_by_who_watches(how: str) -> None:
    """S3's client reads an answer whole, whatever its length, and a byte per second is not silence to it."""

    def talk(connection: socket.socket, method: str, target: str) -> None:
        connection.sendall(answer(b"<ListBucketResult>", size=2**50))
        while True:
            connection.sendall(b"<a>" * (2**16 if how == "endless" else 1))
            time.sleep(0 if how == "endless" else 0.2)

    code = """
import sys
from compress.cli import watch
from compress.cli.guard import guard
from compress.pipeline.workers import store
watch.LOOK_S = 0.1
store.CALL_S, store.CALL_BYTES = (60.0, 2**27) if sys.argv[1] == "endless" else (2.0, 2**40)
def run():
    with guard(lambda: False):
        store.Store(sys.argv[2]).names("units")
watch.run_watched(["sweep"], run)
"""
    with s3_server(talk) as url:
        everything = [sys.executable, "-c", code, how, url]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(everything, capture_output=True, text=True, timeout=100, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("store s3://bucket/x: cannot be used (no whole answer within ")
    assert done.stderr.count("\n") == 1
