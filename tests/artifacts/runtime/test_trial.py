"""A .pte that nothing vouches for is tried elsewhere first: this very process would not outlive a damaged one."""

import subprocess
from pathlib import Path

import pytest

from compress.artifacts.runtime.trial import probe
from compress.errors import VerificationError
from compress.python_process import python_command, python_environment
from compress.restore.open import Settings, open_restorer

only = pytest.mark.parametrize("format", ["executorch"], indirect=True)


@only
def test_a_program_that_would_end_the_process_is_refused(artifact: Path, tmp_path: Path) -> None:
    """ExecuTorch's binding quotes bytes that are not UTF-8, fails at it, and aborts."""
    path = tmp_path / "model.pte"
    path.write_bytes(b"\xff" * 8 + artifact.read_bytes()[8:])
    with pytest.raises(VerificationError, match=r"model\.pte: refused, not a readable ExecuTorch program \(.* -6: .*"):
        open_restorer(str(path), Settings(scale=4))


@only
def test_what_runs_passes_and_what_the_runtime_refuses_is_left_to_it(artifact: Path, tmp_path: Path) -> None:
    probe(artifact)
    path = tmp_path / "model.pte"
    path.write_bytes(artifact.read_bytes()[:1000])
    probe(path)
    with pytest.raises(VerificationError, match=r"refused, not a readable ExecuTorch program"):
        open_restorer(str(path), Settings(scale=4))


WITH_LITTLE_MEMORY = """
import sys, types, psutil
import subprocess
from pathlib import Path
psutil.virtual_memory = lambda: types.SimpleNamespace(available=2**29)
from compress.artifacts.runtime import trial
trial._keep_to_memory()
trial._run_once(Path(sys.argv[1]))
"""


@only
def test_a_program_may_not_take_more_memory_than_there_is(artifact: Path, tmp_path: Path) -> None:
    """It says how much it plans with, which the runtime sets to zero before it looks any further."""
    from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary

    done = {}
    for more in (0, 2**31):
        program = deserialize_pte_binary(artifact.read_bytes())
        program.program.execution_plan[0].non_const_buffer_sizes.append(more)
        path = tmp_path / f"{more}.pte"
        path.write_bytes(bytes(serialize_pte_binary(program)))
        command = python_command("-c", WITH_LITTLE_MEMORY, str(path))
        done[more] = subprocess.run(command, capture_output=True, text=True, env=python_environment())
    assert done[0].returncode == 0 and done[2**31].returncode != 0
    assert "MemoryError" in done[2**31].stderr or "bad_alloc" in done[2**31].stderr
