"""onnxruntime-web from npm: fetched once, its hash checked, nothing fetched otherwise."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cache import cache_folder
from compress.cli.commands import app
from compress.progress import Progress
from compress.targets.browser import onnxruntime_web as web


@pytest.fixture()
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/onnxruntime-web-1.30.0"


def run() -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["targets", "setup", "web"])
    return done.exit_code, done.stdout, done.stderr.splitlines()[-1] if done.stderr else ""


@pytest.mark.needs("npm")
@pytest.mark.usefixtures("web_runtime")  # its registry can be reached
def test_setup_fetches_the_files_once_and_tells_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the cache of the whole session, where the browser's tests look for them."""
    code, out, last = run()
    assert (code, out) == (0, f"{cache_folder() / 'onnxruntime-web-1.30.0'}\n"), last
    folder = Path(out.strip())
    assert sorted(path.name for path in folder.iterdir()) == sorted((web.SCRIPT, web.BINARY))
    monkeypatch.setenv("PATH", "")
    files = web.runtime_files(Progress("silent"))
    assert files == {name: folder / name for name in (web.SCRIPT, web.BINARY)}
    assert files[web.BINARY].read_bytes()[:4] == b"\0asm"


def test_another_package_is_refused(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / web.ARCHIVE).write_bytes(b"something else")
    code, out, last = run()
    assert (code, out) == (5, "")
    assert last == (f"{cache / web.ARCHIVE}: is not onnxruntime-web 1.30.0, its sha512 differs: delete it, fetch again")
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
