"""onnxruntime-web from npm: fetched once, its hash checked, nothing fetched otherwise."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cli import app
from compress.progress import Progress
from compress.targets import web


@pytest.fixture()
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/elir-compress/onnxruntime-web-1.30.0"


def run() -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["targets", "setup", "web"])
    return done.exit_code, done.stdout, done.stderr.splitlines()[-1] if done.stderr else ""


@pytest.mark.usefixtures("web_runtime")
def test_the_files_are_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    files = web.runtime_files(Progress("silent"))
    assert files[web.BINARY].read_bytes()[:4] == b"\0asm"
    monkeypatch.setenv("PATH", "")
    assert web.runtime_files(Progress("silent")) == files


@pytest.mark.needs("npm")
@pytest.mark.usefixtures("web_runtime")  # its registry can be reached
def test_setup_tells_the_folder(cache: Path) -> None:
    code, out, last = run()
    assert (code, out) == (0, f"{cache}\n"), last
    assert sorted(path.name for path in cache.iterdir()) == sorted((web.SCRIPT, web.BINARY))


def test_another_package_is_refused(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / web.ARCHIVE).write_bytes(b"something else")
    code, out, last = run()
    assert (code, out) == (5, "")
    assert last == (
        f"{cache / web.ARCHIVE}: is not onnxruntime-web 1.30.0, its sha512 is another: delete it, fetch again"
    )
    assert [path.name for path in cache.iterdir()] == [web.ARCHIVE]


def test_without_npm(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, out, last = run()
    assert (code, out) == (4, "")
    assert last == (
        "onnxruntime-web: npm, which fetches it, is not installed: install Node.js, "
        f"or put onnxruntime-web-1.30.0.tgz into {cache}"
    )


def test_npm_without_a_network(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm warn old setting' >&2\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    code, out, last = run()
    assert (code, out) == (4, "")
    assert last.startswith("onnxruntime-web: npm could not fetch it (npm error code ENOTFOUND): see its registry")
