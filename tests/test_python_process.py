"""No process of ours takes a module from the current folder."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import compress
from compress.cli.doctor import _import_error
from compress.python_process import ROOT, python_command, python_environment
from compress.targets.runner_archive import runner_archive

PLANTED = ("numpy", "json", "pathlib", "typing", "statistics", "torch", "typer", "sitecustomize", "zipfile")
PACKAGE = Path(compress.__file__).parent


@pytest.fixture()
def hostile(tmp_path: Path) -> Path:
    """A folder received from a stranger: each of its modules leaves a file ``executed`` when it is imported."""
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write({name!r})\n")
    return tmp_path


def unsafe() -> dict[str, str]:
    """This environment, as it is where nobody has asked for safe-path mode: the command line does, for its children."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def run(command: list[str], folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**unsafe(), **environment})
    assert not (folder / "executed").exists(), (folder / "executed").read_text()
    return done


def test_the_planted_modules_do_work(hostile: Path) -> None:
    subprocess.run([sys.executable, "-c", "import statistics"], cwd=hostile, env=unsafe(), check=False)
    assert (hostile / "executed").exists()


@pytest.mark.parametrize("words", [["--version"], ["ls", "recipes"], ["validate", "int8_sr"]], ids=" ".join)
def test_the_command_line(words: list[str], hostile: Path) -> None:
    done = run([sys.executable, "-m", "compress", *words], hostile, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("given", ["{root}", "{root}:", ":{root}", ".:{root}", ""])
def test_its_children_and_theirs(given: str, hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("PYTHONPATH", given.format(root=ROOT))
    code = (
        "import subprocess, sys, numpy, statistics, compress.bundle.manifest; print(compress.__file__);"
        "subprocess.run([sys.executable, '-c', 'import numpy, statistics'], check=True)"
    )
    done = run(python_command("-c", code), hostile, **python_environment())
    assert (done.returncode, done.stdout.strip()) == (0, str(PACKAGE / "__init__.py")), done.stderr


def test_what_doctor_tries(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hostile)
    assert _import_error("numpy") is None
    assert not (hostile / "executed").exists()


@pytest.mark.parametrize("path", [None, "", ":/nowhere", "."])
def test_what_runs_on_a_device(path: str | None, hostile: Path) -> None:
    """Its folder there, and the current one, may hold anything."""
    (hostile / "sitecustomize.py").unlink()  # by somebody's PYTHONPATH Python itself imports it, before any code
    (hostile / "runner.pyz").write_bytes(runner_archive())
    (hostile / "result.json").write_text('{"state": "here"}')
    given = {} if path is None else {"PYTHONPATH": path}
    done = run([sys.executable, "runner.pyz", "result", "."], hostile, **given)
    assert done.stdout == '{"state": "here"}', done.stderr


def test_every_process_is_started_in_one_way() -> None:
    """``sys.executable`` without safe-path mode is how a stranger's module gets in again."""
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "executable" and ast.unparse(node) == "sys.executable"
    }
    assert users == {"python_process.py", "targets/runner/program.py"}
