"""A .pte that nothing vouches for is tried elsewhere first: this very process would not outlive a damaged one."""

from pathlib import Path

import pytest

from compress.artifacts.runtime.trial import probe
from compress.errors import VerificationError
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
