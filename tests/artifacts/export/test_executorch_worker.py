"""The background lowering writes what the foreground would, and tells a person what went wrong."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.artifacts.export.executorch_worker import LoweringWorker, end_idle
from compress.artifacts.export.to_executorch import to_executorch
from compress.errors import InputError
from compress.files import locked


class Steps(nn.Module):
    """What makes lowering an ELIR more than its layers: two steps with the same weights, a norm and an enlargement that
    are rewritten, and an input at another scale."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.back = nn.Conv2d(8, 3, 3, padding=1)
        self.enlarge = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(16, 3, 3, padding=1))
        self.shrink = nn.AvgPool2d(4)

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        x = self.shrink(lq) + self.enlarge(noise)
        for _ in range(2):
            x = x + self.back(self.norm(self.step(x)))
        return lq + x.mean()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """As torch.fx writes it, with its code: the worker's process cannot import a class of this file."""
    torch.manual_seed(0)
    return torch.fx.symbolic_trace(Steps().eval().requires_grad_(False))


@pytest.fixture
def worker() -> Iterator[LoweringWorker]:
    worker = LoweringWorker()
    yield worker
    worker.stop()


def test_one_that_cannot_be_written_is_one_line_and_the_next_holds_the_same_bytes_as_without_a_worker(
    worker: LoweringWorker, model: nn.Module, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    bad, good = tmp_path / "file" / "model.pte", tmp_path / "model.pte"
    for path in (bad, good):
        worker.submit(path, model, shape=(64, 64), baked_seed=3)
    with pytest.raises(InputError, match=r"cannot be written \(File exists\): choose another folder"):
        worker.wait(bad)
    worker.wait(good)
    assert good.read_bytes() == to_executorch(model, (64, 64), 3)


def test_a_killed_worker_is_told(worker: LoweringWorker, model: nn.Module, tmp_path: Path) -> None:
    worker.submit(tmp_path / "model.pte", model, shape=(64, 64))
    assert worker.process is not None
    worker.process.popen.kill()
    with pytest.raises(RuntimeError, match="ExecuTorch lowering ended with -9"):
        worker.wait(tmp_path / "model.pte")


def test_what_a_failed_worker_said_is_in_the_bug_s_report(
    worker: LoweringWorker, model: nn.Module, tmp_path: Path
) -> None:
    end_idle()
    worker.submit(tmp_path / "model.pte", model, shape=(64, 64))
    assert worker.folder is not None
    # Before a new process, which imports torch, reads it.
    (Path(worker.folder.name) / "0.pt").write_bytes(b"no job")
    with pytest.raises(RuntimeError, match=r"ExecuTorch lowering ended with 1: \S") as caught:
        worker.wait(tmp_path / "model.pte")
    assert "\n" not in str(caught.value)
    assert "Traceback" in caught.value.__notes__[0] and "torch.load" in caught.value.__notes__[0]


def test_stop_ends_one_that_is_at_work(worker: LoweringWorker, model: nn.Module, tmp_path: Path) -> None:
    worker.submit(tmp_path / "model.pte", model, shape=(64, 64))
    process, folder = worker.process, worker.folder
    worker.stop()
    assert process is not None and process.popen.returncode == -9
    assert folder is not None and not Path(folder.name).exists()
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_done_waits_for_the_next_worker(
    model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it stands, in the folders of runs; not for one with modules from elsewhere, and not once it is dead."""
    end_idle()
    processes = []
    for i in range(4):
        worker = LoweringWorker()
        if i == 2:
            monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        (here := tmp_path / str(i)).mkdir()
        monkeypatch.chdir(here)
        with locked(Path("run"), print):
            worker.submit(Path("run/model.pte"), model, shape=(64, 64), baked_seed=3)
            assert worker.process is not None
            worker.wait(Path("run/model.pte"))
            processes.append(worker.process)
            worker.stop()
            assert [path.name for path in Path("run").iterdir() if path.name != ".lock"] == ["model.pte"]
        shutil.move(here, tmp_path / f"moved{i}")
        assert processes[-1].popen.poll() is None
        if i == 2:
            processes[-1].popen.kill()
            processes[-1].popen.wait()
    first, second, _, last = processes
    assert first is second and len({*map(id, processes)}) == 3
    assert first.popen.returncode == -9
    assert len({(tmp_path / f"moved{i}/run/model.pte").read_bytes() for i in range(4)}) == 1
    end_idle()
    assert last.popen.returncode == -9


BUSY = """
import time
from compress.artifacts.export.executorch_worker import _jobs
print(next(_jobs()), flush=True)
time.sleep(60)
"""


def test_it_ends_with_its_parent() -> None:
    """When the parent is killed its end of the pipe closes: a lowering goes on no further."""
    pipe = subprocess.PIPE
    worker = subprocess.Popen([sys.executable, "-c", BUSY], stdin=pipe, stdout=pipe, text=True)
    assert worker.stdin is not None and worker.stdout is not None
    print("a job", file=worker.stdin, flush=True)
    assert worker.stdout.readline() == "a job\n"
    worker.stdin.close()
    assert worker.wait(20) == 1
