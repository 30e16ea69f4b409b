"""Lowering for ExecuTorch in a process of its own: a minute of one core a file, beside which other work has the other.

``python -m compress.artifacts.export.executorch_worker`` reads one job's path a line from stdin (a pickle that the
parent wrote
for this call alone) and answers each with one line of JSON on stdout.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from compress.errors import CompressError, InputError
from compress.files import check_writable, temporary_folder
from compress.python_process import python_command, python_environment

if TYPE_CHECKING:
    from torch import nn


class LoweringWorker:
    """Writes .pte files one after the other, in the order of ``submit``; ``wait`` for each, and ``stop`` at the end."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.submitted: set[Path] = set()
        self._answers: dict[str, dict[str, Any]] = {}

    def submit(self, path: Path, model: "nn.Module", **program: Any) -> None:
        """Have ``path`` written, ``program`` as ``to_executorch`` takes it; the model may change afterwards."""
        import torch

        if self.process is None:
            self._start()
        assert self.process is not None and self.process.stdin is not None
        job = Path(self.folder.name) / f"{len(self.submitted)}.pt"
        self.submitted.add(path)
        torch.save({"model": model, "path": path, **program}, job)
        with contextlib.suppress(BrokenPipeError):  # it has died: wait() tells
            print(job, file=self.process.stdin, flush=True)

    def wait(self, path: Path) -> None:
        """Return when ``path`` is written. Raises InputError where it cannot be, RuntimeError for a failed lowering."""
        assert self.process is not None and self.process.stdout is not None
        while str(path) not in self._answers:
            line = self.process.stdout.readline()
            if not line:
                raise self._failure(self.process.wait())
            answer = json.loads(line)
            self._answers[answer["path"]] = answer
        if problem := self._answers.pop(str(path))["problem"]:
            raise InputError(problem)

    def stop(self) -> None:
        """End the process, whatever it is at."""
        if self.process is None:
            return
        self.process.kill()
        self.process.communicate()
        self.log.close()
        self.folder.cleanup()
        self.process = None

    def _start(self) -> None:
        self.folder = temporary_folder()
        self.log: IO[str] = (Path(self.folder.name) / "log").open("w+", encoding="utf-8", errors="replace")
        command, environment = python_command("-m", "compress.artifacts.export.executorch_worker"), python_environment()
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.log, text=True, env=environment)

    def _failure(self, code: int) -> RuntimeError:
        """The error, with all that the process printed as a note, which a bug report includes."""
        self.log.seek(0)
        output = self.log.read().strip()
        last = output.splitlines()[-1] if output else "no message"
        error = RuntimeError(f"ExecuTorch lowering ended with {code}: {last}")
        error.add_note(output)
        return error


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
