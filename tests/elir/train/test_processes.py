"""Two real processes, on gloo, train what one does with the same batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from compress.elir.train.divergence import read_step
from compress.elir.train.processes import Processes
from compress.errors import InputError

SCRIPT = str(Path(__file__).with_name("together.py"))
TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def train(folder: Path, *more: str, two: str = "") -> subprocess.CompletedProcess[str]:
    """``two``: by ``torchrun``, or by ``fork``, which is quicker."""
    root = {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    root |= {"ACCELERATE_USE_CPU": "true"} if torch.accelerator.is_available() else {}
    root |= {"TWO": two}
    command = [sys.executable, *(TWO if two == "torchrun" else []), SCRIPT, str(folder), *more]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | root, timeout=300)


def terms(folder: Path) -> list[dict[str, float]]:
    return json.loads((folder / "terms.json").read_text())


def total(record: dict[str, float]) -> float:
    return sum(value for name, value in record.items() if name not in ("stage", "step", "of"))


def check_equal(a: Path, b: Path) -> None:
    """Weights, but for biases that a group norm takes out again: AdamW makes whole steps of their rounding errors."""
    first, second = (torch.load(folder / "weights.pt", weights_only=True) for folder in (a, b))
    for name, value in first.items():
        if value.ndim > 1:
            assert (second[name] - value).norm() < 1e-4 * value.norm(), name


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together") / "alone"
    done = train(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_have_the_loss_curve_of_one(alone: Path, tmp_path: Path) -> None:
    done = train(tmp_path / "two", two="torchrun")
    assert done.returncode == 0, done.stderr
    one, two = terms(alone), terms(tmp_path / "two")
    assert len(one) == len(two) == 6
    for before, after in zip(one, two, strict=True):
        assert before.keys() == after.keys() and before["step"] == after["step"]
        assert total(after) == pytest.approx(total(before), rel=1e-5)
    check_equal(alone, tmp_path / "two")


def test_one_process_goes_on_where_two_were_stopped(alone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped = train(folder, "4", two="fork")
    assert stopped.returncode != 0
    assert [line for line in stopped.stderr.splitlines() if line.startswith("told: ")] == ["told: stopped"]
    done = train(folder)
    assert done.returncode == 0, done.stderr
    assert 0 < len(terms(folder)) < 6
    check_equal(alone, folder)


def test_loss_that_is_no_number_in_one_process_stops_both(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = train(folder, "poison", two="fork")
    assert done.returncode != 0
    message = [line for line in done.stderr.splitlines() if line.startswith("told: ")]
    assert len(message) == 1 and message[0].startswith("told: training diverged in stages[1], step 0: mmse is nan")
    tensors, facts = read_step(folder / "diverged.safetensors")
    # The whole batch, though the first process had the sound half.
    assert torch.isfinite(tensors["clean"][:3]).all() and torch.isnan(tensors["clean"][3]).all()
    assert facts["stage"] == 1
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["stage_index"] == 1


def test_share_of_a_batch_is_an_equal_part() -> None:
    one = Processes()
    assert (one.count, one.first, one.share(6, "batch")) == (1, True, slice(0, 6))
    two = Processes()
    two.count, two.index = 2, 1
    assert (two.share(6, "batch"), two.first) == (slice(3, 6), False)
    with pytest.raises(InputError, match=r"stages\[0\]\.batch is 3, for 2 processes: give a multiple of 2"):
        two.share(3, "stages[0].batch")


def test_others_end_without_a_word() -> None:
    other = Processes()
    other.count, other.index = 2, 1
    with pytest.raises(SystemExit) as caught, other.one_voice():
        raise InputError("told by the first")
    assert caught.value.code == 2
