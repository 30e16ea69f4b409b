"""Lowering for ExecuTorch in a process of its own: a minute of one core, beside which calibration has the other.

``python -m compress.export.executorch_worker JOB``: JOB is a pickle that the parent wrote for this call alone.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import CompressError, InputError

if TYPE_CHECKING:
    from torch import nn


class BackgroundWrite:
    """A .pte being written; ``wait`` for it, or ``stop`` it."""

    def __init__(self, model: "nn.Module", size: int, baked_seed: int | None, float16: bool, path: Path) -> None:
        import torch

        self.folder = tempfile.TemporaryDirectory(prefix="compress-lower-")
        job = Path(self.folder.name) / "job.pt"
        torch.save({"model": model, "size": size, "baked_seed": baked_seed, "float16": float16, "path": path}, job)
        self.log = (Path(self.folder.name) / "log").open("w+", encoding="utf-8", errors="replace")
        command = [sys.executable, "-m", "compress.export.executorch_worker", str(job)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def wait(self) -> None:
        """Return when the file is written. Raises InputError where it cannot be, RuntimeError for a failed lowering."""
        code = self.process.wait()
        self.log.seek(0)
        told = self.log.read().strip()
        self._clean()
        if code == InputError.exit_code:
            raise InputError(told.splitlines()[-1])
        if code:
            raise RuntimeError(f"ExecuTorch lowering ended with {code}: {told[-2000:]}")

    def stop(self) -> None:
        """End the process when it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._clean()

    def _clean(self) -> None:
        self.log.close()
        self.folder.cleanup()


def _main(job: Path) -> int:
    import torch

    from compress.export.to_executorch import save_executorch, to_executorch

    torch.set_num_threads(1)
    asked = torch.load(job, weights_only=False)  # the parent's own file, in a folder that only this user can write
    path = asked.pop("path")
    try:
        save_executorch(to_executorch(**asked), path)
    except CompressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
