"""The runner that is sent: old Python, nothing but numpy and runtimes, one file with the same bytes everywhere."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compress.targets.runner_archive import NAME, ROOT, SOURCES, runner_archive, runner_sha256

RUNTIMES = {"numpy", "onnxruntime", "openvino", "torch", "executorch", "tensorrt"}
NEWER = ("removeprefix", "removesuffix", "list[", "dict[", "tuple[", "zip(strict", "functools.cache")
SENT = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES}
HASH = "from compress.targets.runner_archive import runner_sha256; print(runner_sha256())"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_it_is_python_3_8_and_stands_alone(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = names - SENT
    assert {name.split(".")[0] for name in own} - sys.stdlib_module_names <= RUNTIMES
    assert not [word for word in NEWER if word in text]


@pytest.mark.parametrize("zone", ["Pacific/Honolulu", "Asia/Tokyo"])
def test_the_same_bytes_in_every_process_and_time_zone(zone: str) -> None:
    environment = {**os.environ, "TZ": zone, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", HASH], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == runner_sha256()


def test_it_runs_as_one_file_without_this_package(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(runner_archive())
    inputs = {"name": "inputs.npz", "bytes": 10**18, "sha256": ""}
    (tmp_path / "job.json").write_text(json.dumps({"artifacts": {}, "inputs": inputs}))
    command = [sys.executable, "-I", "-S", str(tmp_path / NAME), "put", str(tmp_path), "../escaped", "0"]
    done = subprocess.run(command, input=b"x", capture_output=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == {"error": {"message": "../escaped is not a file of this job", "exit_code": 4}}
    assert not (tmp_path.parent / "escaped").exists()


def test_its_children_are_started_from_the_same_file(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(runner_archive())
    code = "import sys; sys.path.insert(0, sys.argv[1])\n"
    code += "from compress.targets.runner.program import program; print(program())"
    command = [sys.executable, "-I", "-c", code, str(tmp_path / NAME)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([sys.executable, str(tmp_path / NAME)])
