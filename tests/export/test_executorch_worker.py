"""The background lowering writes what the foreground would, and tells a person what went wrong."""

from pathlib import Path

import pytest

from compress.elir.flow import FoldedFlow
from compress.elir.model import Elir
from compress.errors import InputError
from compress.export.executorch_worker import BackgroundWrite
from compress.export.to_executorch import to_executorch


def folded(model: Elir) -> Elir:
    model.fmir = FoldedFlow(model.fmir, 1)  # type: ignore[arg-type]
    model.k_steps = 1
    return model


def test_writes_the_same_bytes(tiny_elir: Elir, tmp_path: Path) -> None:
    model = folded(tiny_elir)
    BackgroundWrite(model, 64, None, False, tmp_path / "model.pte").wait()
    assert (tmp_path / "model.pte").read_bytes() == to_executorch(model, 64)


def test_unwritable_place_is_one_line(tiny_elir: Elir, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written \(File exists\): choose another folder"):
        BackgroundWrite(folded(tiny_elir), 64, None, False, tmp_path / "file" / "model.pte").wait()


def test_stop_leaves_nothing(tiny_elir: Elir, tmp_path: Path) -> None:
    write = BackgroundWrite(folded(tiny_elir), 64, None, False, tmp_path / "model.pte")
    write.stop()
    assert write.process.returncode == -9
    assert not Path(write.folder.name).exists()
    assert list(tmp_path.iterdir()) == []
