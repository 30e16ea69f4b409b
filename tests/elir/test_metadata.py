"""The header of a checkpoint, without torch: what it tells, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compress.elir.checkpoint import save_checkpoint
from compress.elir.metadata import count_values, read_metadata, student_for
from compress.elir.model import Elir
from compress.errors import VerificationError


@pytest.fixture()
def saved(tiny_elir: Elir, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(tiny_elir, path, {"task": "sr_x4"})
    return path


def header(path: Path, content: Any) -> Path:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


def test_what_a_checkpoint_says(saved: Path) -> None:
    result = read_metadata(saved)
    assert (result["task"], int(result["k_steps"]), float(result["sigma_s"])) == ("sr_x4", 3, 0.1)


def test_the_student_of_a_task_is_the_built_in_model_with_fewer_steps() -> None:
    assert student_for("sr_x4", 3) == ("elir_sr_x4_fast", 1)
    assert student_for("sr_x4", 1) is None, "the student itself"
    assert student_for("denoise", 3) is None and student_for(None, 3) is None


def test_numbers_are_counted(tiny_elir: Elir, saved: Path) -> None:
    assert count_values(saved) == {name: value.numel() for name, value in tiny_elir.state_dict().items()}


def test_a_file_without_metadata(tmp_path: Path) -> None:
    assert read_metadata(header(tmp_path / "x.safetensors", {})) == {}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"", b'{"__metadata__": 3}', b'{"x": {}}'])
def test_a_damaged_header(tmp_path: Path, content: bytes) -> None:
    path = header(tmp_path / "x.safetensors", content)
    with pytest.raises(VerificationError, match="refused, damaged safetensors") as caught:
        read_metadata(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_header_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(VerificationError, match="header too large"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k_steps", "three"),
        ("k_steps", "3.5"),
        ("sigma_s", "small"),
        ("sigma_s", "nan"),
        ("sigma_s", "inf"),
        ("k_steps", "9" * 400),
    ],
)
def test_a_number_that_is_none(tmp_path: Path, key: str, value: str) -> None:
    path = header(tmp_path / "x.safetensors", {"__metadata__": {key: value}})
    with pytest.raises(VerificationError) as caught:
        read_metadata(path)
    assert str(caught.value) == f"{path}: metadata {key} is {value!r}, not a number: fix the file"


@pytest.mark.parametrize("value", ["1e999", "NaN", "-Infinity", "3", "0.5", "true", "null", "[1]", "{}", "9" * 400])
@pytest.mark.parametrize("key", ["k_steps", "sigma_s", "task", "licence", "decoder_of"])
def test_metadata_that_is_no_text(tmp_path: Path, key: str, value: str) -> None:
    path = header(tmp_path / "x.safetensors", f'{{"__metadata__": {{"{key}": {value}}}}}'.encode())
    with pytest.raises(VerificationError, match="refused, damaged safetensors"):
        read_metadata(path)


SHAPES = ([-1], [1.5], [True], ["3"], [2**60, 2**60], [1] * 9, [10**400], "12", {"1": 1})


@pytest.mark.parametrize("entry", [3, [], None, {}, {"shape": "ab"}, {"shape": None}, *({"shape": s} for s in SHAPES)])
def test_tensors_without_a_shape(tmp_path: Path, entry: Any) -> None:
    path = header(tmp_path / "x.safetensors", {"enc.weight": entry})
    with pytest.raises(VerificationError, match="refused, damaged safetensors"):
        count_values(path)


def test_no_torch_is_loaded(saved: Path) -> None:
    code = "import sys; from compress.elir.metadata import read_metadata; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
