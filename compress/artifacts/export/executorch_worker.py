"""Lowering for ExecuTorch in a process of its own: a minute of one core a file, beside which other work has the other.

``python -m compress.artifacts.export.executorch_worker`` reads one job's path a line from stdin (a pickle that the
parent wrote for this call alone) and answers each with one line of JSON on stdout. A process that has done its work
waits for the next run of the same parent, a sweep's for example: starting one takes five seconds of CPU.
"""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import CompressError, InputError
from compress.files import check_writable, temporary_folder
from compress.python_process import python_command, python_environment

if TYPE_CHECKING:
    from torch import nn


class _Process:
    """The other process, and what it prints."""

    def __init__(self) -> None:
        command, environment = python_command("-m", "compress.artifacts.export.executorch_worker"), python_environment()
        self.modules = environment["PYTHONPATH"]
        # Without a name: an idle process has nothing in a run's folder, and a killed one leaves nothing anywhere.
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (until end)
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=self.log, text=True, env=environment, cwd=os.sep
        )

    def end(self) -> None:
        """Whatever it is at."""
        self.popen.kill()
        self.popen.communicate()
        self.log.close()


_idle: dict[int, _Process] = {}
"""At most one, by the process that started it: a fork of that one must not take it."""


@atexit.register
def end_idle() -> None:
    """End the process that waits for the next run."""
    if process := _idle.pop(os.getpid(), None):
        process.end()


class LoweringWorker:
    """Writes .pte files one after the other, in the order of ``submit``; ``wait`` for each, and ``stop`` at the end."""

    def __init__(self) -> None:
        self.process: _Process | None = None
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.submitted: set[Path] = set()
        self._asked = 0
        self._answered = 0
        self._answers: dict[str, dict[str, Any]] = {}

    def submit(self, path: Path, model: "nn.Module", **program: Any) -> None:
        """Have ``path`` written, ``program`` as ``to_executorch`` takes it; the model may change afterwards."""
        import torch

        if self.process is None or self.folder is None:
            self.process, self.folder = _started(), temporary_folder()
        assert self.process.popen.stdin is not None
        job = Path(self.folder.name).absolute() / f"{self._asked}.pt"
        self._asked += 1
        self.submitted.add(path)
        torch.save({"model": model, "path": path.absolute(), **program}, job)
        with contextlib.suppress(BrokenPipeError):  # it has died: wait() tells
            print(job, file=self.process.popen.stdin, flush=True)

    def wait(self, path: Path) -> None:
        """Return when ``path`` is written. Raises InputError where it cannot be, RuntimeError for a failed lowering."""
        assert self.process is not None and self.process.popen.stdout is not None
        name = str(path.absolute())
        while name not in self._answers:
            line = self.process.popen.stdout.readline()
            if not line:
                raise self._failure(self.process.popen.wait())
            answer = json.loads(line)
            self._answered += 1
            self._answers[answer["path"]] = answer
        if problem := self._answers.pop(name)["problem"]:
            raise InputError(problem)

    def stop(self) -> None:
        """End the process, whatever it is at; one that has done all its jobs waits for the next worker."""
        process, self.process = self.process, None
        if process is None or self.folder is None:
            return
        self.folder.cleanup()
        if self._answered < self._asked or process.popen.poll() is not None:
            process.end()
            return
        end_idle()
        _idle[os.getpid()] = process

    def _failure(self, code: int) -> RuntimeError:
        """The error, with all that the process printed as a note, which a bug report includes."""
        assert self.process is not None
        self.process.log.seek(0)
        output = self.process.log.read().strip()
        last = output.splitlines()[-1] if output else "no message"
        error = RuntimeError(f"ExecuTorch lowering ended with {code}: {last}")
        error.add_note(output)
        return error


def _started() -> _Process:
    """The idle process, unless it has ended or has its modules from elsewhere; or a new one."""
    if (idle := _idle.pop(os.getpid(), None)) is None:
        return _Process()
    if idle.popen.poll() is None and idle.modules == python_environment()["PYTHONPATH"]:
        return idle
    idle.end()
    return _Process()


def _jobs() -> Iterator[Path]:
    """The parent's jobs, until it is gone: then this process ends at once, whatever it is at, and writes no more."""
    jobs: queue.Queue[Path] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            jobs.put(Path(line.strip()))
        os._exit(1)

    threading.Thread(target=read, daemon=True, name="jobs").start()
    while True:
        yield jobs.get()


def _main() -> None:
    # stdout is the parent's; what libraries print goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch

    from compress.artifacts.export.to_executorch import save_executorch, to_executorch

    torch.set_num_threads(1)
    for job in _jobs():
        asked = torch.load(job, weights_only=False)  # the parent's own file, in a folder that only this user can write
        path, problem = asked.pop("path"), None
        try:
            check_writable(path)  # before a minute of work, not after it
            save_executorch(to_executorch(**asked), path)
        except CompressError as error:
            problem = str(error)
        print(json.dumps({"path": str(path), "problem": problem}), file=answers, flush=True)


if __name__ == "__main__":
    _main()
