"""What the worker refuses before it measures."""

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from compress.python_process import python_environment
from compress.targets.runner.failure import Failure
from compress.targets.runner.locks import lock
from compress.targets.runner.program import program
from compress.targets.runner.worker import Children, check_device


def test_a_disk_too_small_and_a_name_outside_the_job(tmp_path: Path) -> None:
    inputs = {"name": "inputs.npz", "bytes": 10**18, "sha256": ""}
    job = {"artifacts": {}, "inputs": inputs, "arch": platform.machine(), "model": None, "runtime": "onnxruntime"}
    with pytest.raises(Failure, match=r"its disk has \d+ MB free, \d+ are needed: free some"):
        check_device(str(tmp_path), job)
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert program() == [sys.executable, "-m", "compress.targets.runner"]
    command = [*program(), "put", str(tmp_path), "../escaped", "0"]
    done = subprocess.run(command, input=b"x", capture_output=True, check=True, cwd=Path(__file__).parents[3])
    assert json.loads(done.stdout) == {"error": {"message": "../escaped is not a file of this job", "exit_code": 4}}
    assert not (tmp_path.parent / "escaped").exists()


JOB = {"artifacts": {"onnx-int8": {"entry": "onnx-int8/model.onnx", "files": []}}, "inputs": {"name": "inputs.npz"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": {"name": "../.bashrc"}}, "'../.bashrc' is not a name for a file of a job"),
        ({"inputs": {"name": "/etc/passwd"}}, "'/etc/passwd' is not a name"),
        ({"inputs": {"name": "a/b/c"}}, "'a/b/c' is not a name"),
        ({"artifacts": {"onnx-int8-/../../..": {"entry": "x", "files": []}}}, "'onnx-int8-/../../..' is not a name"),
        ({"artifacts": {"a": {"entry": "a/.bashrc", "files": []}}}, "'a/.bashrc' is not a name"),
        ({"native": {"files": [{"name": "native/et_runner\n"}]}}, r"'native/et_runner\\n' is not a name"),
        ({"lock": "/home/anna/.bashrc"}, "'/home/anna/.bashrc' is not a name for a lock"),
        ({"lock": "/tmp/../elir-compress.lock"}, "is not a name for a lock"),
    ],
)
def test_a_job_names_nothing_outside_of_its_folder(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """Whatever the sender checked: the device's own user relies on the device's own check."""
    job = {**JOB, "lock": "/tmp/elir-compress.lock", "holder": "anna@desk", **changes}
    command = [*program(), "start", str(tmp_path / "job")]
    (tmp_path / "job").mkdir()
    feed = json.dumps(job).encode()
    done = subprocess.run(command, input=feed, capture_output=True, check=True, cwd=Path(__file__).parents[3])
    assert message in json.loads(done.stdout)["error"]["message"].replace("\\n", "\\\\n")
    assert list(tmp_path.rglob("*")) == [tmp_path / "job"]


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    job = {**JOB, "lock": "/tmp/elir-compress.lock"}
    (tmp_path / "job").mkdir()
    (tmp_path / "job/job.json").write_text(json.dumps(job))
    (tmp_path / "job/inputs.npz").symlink_to(tmp_path / "outside")
    command = [*program(), "put", str(tmp_path / "job"), "inputs.npz", "0"]
    done = subprocess.run(command, input=b"x", capture_output=True, check=True, cwd=Path(__file__).parents[3])
    assert "symbolic links (" in json.loads(done.stdout)["error"]["message"]
    assert not (tmp_path / "outside").exists()


def children(tmp_path: Path) -> Children:
    """Of a job whose file is missing."""
    return Children(str(tmp_path), {"artifacts": {"a": {}}, "memory_mb": None}, python_environment())


def test_a_child_that_dies_says_how(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(Failure, match=r"^a: ended with 1 \(KeyError: 'runtime'\)$") as caught:
        children(tmp_path).load_each(lambda text, done: None)
    assert caught.value.exit_code == 1


def test_a_child_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(Failure, match=r"^a: not done after 0 s, so it was stopped: run it again$"):
        children(tmp_path).run(["status", "3", "0"], "a", 0)


def test_an_interruption_leaves_no_child_at_work(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    before, began = {child.pid for child in psutil.Process().children()}, set()

    def interrupt() -> None:
        began.update({child.pid for child in psutil.Process().children()} - before)
        raise KeyboardInterrupt

    # The child waits for a lock that is held here.
    with lock(str(tmp_path / "alive"), ""), pytest.raises(KeyboardInterrupt):
        children(tmp_path).run(["work"], "a", 60, interrupt)
    assert len(began) == 1 and not psutil.pid_exists(began.pop())
