"""A stranger's .pte, tried in a process of its own first: what is wrong in one can end the process that opens it.

ExecuTorch checks its programs by assertions that abort (``ET_CHECK``), which no Python code can catch.

``python -m compress.artifacts.runtime.trial FILE`` opens and runs it once.
"""

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import psutil

from compress.artifacts.runtime.base import dtype_of
from compress.artifacts.runtime.contents import Contents
from compress.artifacts.runtime.open import open_runner
from compress.errors import CompressError, VerificationError
from compress.files import temporary_folder
from compress.python_process import python_command, python_environment

LIMIT_S = 600.0
"""Longest time for one run; a tile on a small board may take a minute."""


def probe(path: Path, contents: Contents | None = None) -> None:
    """Open the .pte ``path``, or the ``contents`` that were read of it, and run it once elsewhere.

    Raises VerificationError where that process dies or hangs.
    """
    with temporary_folder() as folder:
        file = path
        if contents is not None:
            parts: Mapping[str, Contents] = dict(contents.stages.items()) or {"model": contents}
            file = Path(folder) / f"{next(iter(parts))}.pte"
            for stem, part in parts.items():
                file.with_stem(stem).write_bytes(part.entry)
        _probe(file, path)


def _probe(file: Path, path: Path) -> None:
    """``path``: what messages call ``file``."""
    try:
        command = python_command("-m", "compress.artifacts.runtime.trial", str(file))
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, env=python_environment()
        )
    except subprocess.TimeoutExpired:
        raise VerificationError(f"{path}: refused, not run within {LIMIT_S:.0f} s: export it again") from None
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
        how = f"it ended the process that tried it with {done.returncode}: {' '.join(last.split())[:160]}"
        raise VerificationError(f"{path}: refused, not a readable ExecuTorch program ({how}): export it again")


def _run_once(path: Path) -> None:
    try:
        runner = open_runner(path, "executorch", 1)
    except CompressError:
        return  # refused as it should be: whoever asked opens it next, and tells why
    picture, *noise = [np.zeros(shape, dtype_of(name)) for name, shape in runner.shapes.items()]
    (runner.restore if runner.takes_pictures else runner.run)(picture, noise[0] if noise else None)


def _keep_to_memory() -> None:
    """Let this process take the memory that is left, and no more: a program of some kB may ask for any number of GB."""
    with contextlib.suppress(OSError, ImportError, ValueError):
        import resource

        own = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        most = own + psutil.virtual_memory().available
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


if __name__ == "__main__":
    _keep_to_memory()
    _run_once(Path(sys.argv[1]))
