"""An artifact's size is that of all its files."""

from pathlib import Path

import pytest

from compress.errors import InputError, VerificationError
from compress.measure.size import artifact_bytes, artifact_files, size_ratio


def written(folder: Path, **files: int) -> Path:
    for name, size in files.items():
        (folder / name.replace("_", ".")).write_bytes(b"x" * size)
    return folder


def test_an_ir_has_two_files(tmp_path: Path) -> None:
    entry = written(tmp_path, model_xml=10, model_bin=90, other_bin=5) / "model.xml"
    assert artifact_bytes(entry) == 100
    assert [path.name for path in artifact_files(entry)] == ["model.xml", "model.bin"]


def test_onnx_may_have_external_data(tmp_path: Path) -> None:
    entry = written(tmp_path, model_onnx=10) / "model.onnx"
    assert artifact_bytes(entry) == 10
    written(tmp_path, model_onnx_data=30)
    assert artifact_bytes(entry) == 40


def test_ratio(tmp_path: Path) -> None:
    written(tmp_path, small_pte=25, big_pte=100)
    assert size_ratio(tmp_path / "small.pte", tmp_path / "big.pte") == 0.25


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.pte: no such artifact: check the path"):
        artifact_bytes(tmp_path / "model.pte")
    with pytest.raises(VerificationError, match=r"model\.xml: its weights, model\.bin, are not beside it"):
        artifact_bytes(written(tmp_path, model_xml=10) / "model.xml")
