"""What the worker refuses before it measures."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from compress.targets.runner.failure import Failure
from compress.targets.runner.program import program
from compress.targets.runner.worker import check_device


def test_a_disk_too_small_and_a_name_outside_the_job(tmp_path: Path) -> None:
    inputs = {"name": "inputs.npz", "bytes": 10**18, "sha256": ""}
    job = {"artifacts": {}, "inputs": inputs, "arch": platform.machine(), "model": None, "runtime": "onnxruntime"}
    with pytest.raises(Failure, match=r"its disk has \d+ MB free, \d+ are needed: free some"):
        check_device(str(tmp_path), job)
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert program() == [sys.executable, "-m", "compress.targets.runner"]
    command = [*program(), "put", str(tmp_path), "../escaped", "0"]
    done = subprocess.run(command, input=b"x", capture_output=True, check=True, cwd=Path(__file__).parents[3])
    assert json.loads(done.stdout) == {"error": {"message": "../escaped is no file of this job", "exit_code": 4}}
    assert not (tmp_path.parent / "escaped").exists()
