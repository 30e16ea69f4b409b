"""The store: whole files or none, folders with what says that they are complete, refusals in one line."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from compress.errors import InputError
from compress.pipeline.workers import Store

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
    with pytest.raises(InputError, match=r"cannot be used \(has more than 5 bytes\)"):
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
