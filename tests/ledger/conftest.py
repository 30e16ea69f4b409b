"""Made-up measurements, a ledger of the test's own, and a real PostgreSQL server."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compress.ledger import Ledger, open_ledger
from compress.ledger.measurement import Measurement

Make = Callable[..., Measurement]


@pytest.fixture()
def make() -> Make:
    """(changed fields) -> Measurement."""

    def measurement(**changes: Any) -> Measurement:
        fields = {
            "created": "2026-11-23T12:00:00+00:00",
            "run": "run0",
            "command": "apply",
            "recipe": "int8_sr",
            "task": "sr_x4",
            "artifact": "onnx-int8",
            "format": "onnx",
            "precision": "int8",
            "image_size": 64,
            "evidence": "measured",
            "bytes": 1000,
            "psnr_db": 24.1,
            **{f"{name}_sha256": "ab" * 32 for name in ("artifact", "files", "weights", "recipe")},
            "versions": {"torch": "2.13"},
            "machine": {"cpu": "x"},
            "pictures": [{"name": "a.png", "psnr_db": 24.1}],
        }
        return Measurement.model_validate(fields | changes)

    return measurement


@pytest.fixture()
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty SQLite ledger, the one that commands find too."""
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    return open_ledger()


def program(name: str) -> str:
    """A program of PostgreSQL's server. Fails, saying what is missing, where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")]))
    if found is None:
        pytest.fail(f"PostgreSQL's {name} is missing: apt-get install postgresql")
    return found


def unprivileged() -> dict[str, Any]:
    """Settings of a process that is not root, which PostgreSQL refuses to be."""
    if os.geteuid():
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a server that runs as long as the tests, with a password."""
    # Not below pytest's folder, which only the user of the tests may enter.
    with tempfile.TemporaryDirectory(prefix="compress-postgresql-") as folder:
        yield from _server(Path(folder), unprivileged())


def _server(folder: Path, user: dict[str, Any]) -> Iterator[str]:
    if user:
        os.chown(folder, user["user"], user["group"])
    (folder / "password").write_text("s3cret")
    settings = {"check": True, "capture_output": True, "cwd": folder, **user}
    options = ["--username=team", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256", "--encoding=UTF8"]
    subprocess.run([program("initdb"), f"--pgdata={folder / 'data'}", *options], **settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program("postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-c", "fsync=off"],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("w"),
        cwd=folder,
        **user,
    )
    try:
        ready = [program("pg_isready"), "--host=127.0.0.1", f"--port={port}", "--timeout=1"]
        for _ in range(60):
            if subprocess.run(ready, capture_output=True).returncode == 0:
                break
            assert server.poll() is None, (folder / "log").read_text()
        yield f"postgresql://team:s3cret@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for every client
        server.wait(20)
