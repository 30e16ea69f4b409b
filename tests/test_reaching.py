"""Which artifacts a target runs, and what is said of a target that cannot be measured from here."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.bundle import write_manifest
from compress.cli import app
from compress.library import find
from compress.reaching import runs
from compress.schema import DeployTarget
from compress.validation import load_model

IDS = {
    f"{format}-{precision}": format for format in ("openvino", "onnx", "executorch") for precision in ("fp32", "int8")
}
IDS["onnx-int8-tensorrt"] = "onnx"


@pytest.fixture()
def shell(tmp_path: Path) -> Path:
    """A bundle of empty artifacts: enough for what is refused before anything is measured."""
    entries = {name: f"{name}.bin" for name in IDS}
    for entry in entries.values():
        (tmp_path / entry).write_bytes(b"")
    artifacts = [{"id": name, "format": IDS[name], "entry": entry} for name, entry in entries.items()]
    facts = {"artifacts": artifacts, "seeds": {"noise": 0}, "recipe": {"measure": "quick"}}
    write_manifest(tmp_path, facts, list(entries.values()))
    return tmp_path


@pytest.mark.parametrize(
    ("target", "chosen"),
    [
        ("x86-onnxruntime", ["onnx-fp32", "onnx-int8"]),
        ("intel-npu-4000", ["openvino-int8"]),
        ("rpi5", ["onnx-fp32", "onnx-int8"]),
        ("jetson-orin-nano", ["onnx-fp32", "onnx-int8-tensorrt"]),
        ("arm-cortex-a72-executorch", ["executorch-fp32", "executorch-int8"]),
    ],
)
def test_a_target_runs_its_format_and_precisions(target: str, chosen: list[str]) -> None:
    loaded = load_model(DeployTarget, find("targets", target))
    assert [name for name, format in IDS.items() if runs(loaded, name, format)] == chosen


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("intel-npu-4000", "target intel-npu-4000: reach vendor-compiler is not set up in this release"),
        ("arm-cortex-a76-executorch", "target arm-cortex-a76-executorch: reach emulator is not set up in this release"),
    ],
)
def test_a_target_that_cannot_run_here_gets_no_number(shell: Path, target: str, text: str) -> None:
    done = CliRunner().invoke(app, ["bench", str(shell), "--target", target, "--json"])
    assert done.exit_code == 4
    assert done.stderr.startswith(text) and "nothing was measured" in done.stderr and done.stderr.count("\n") == 1
    entries = json.loads(done.stdout)["performance"]
    assert entries
    for entry in entries:
        assert (entry["target"], entry["evidence"], entry["why"]) == (target, "unavailable", done.stderr.strip())
        assert not any(isinstance(value, int | float) for value in entry.values())


def test_a_board_that_cannot_be_reached(shell: Path) -> None:
    board = shell / "board.yaml"
    board.write_text(find("targets", "rpi5").read_text().replace("host: rpi5", "host: no-such-host.invalid"))
    done = CliRunner().invoke(app, ["bench", str(shell), "--target", str(board), "--json"])
    assert done.exit_code == 4
    assert done.stderr.startswith(
        "target rpi5: no-such-host.invalid cannot be reached (ssh: Could not resolve hostname"
    )
    assert {entry["evidence"] for entry in json.loads(done.stdout)["performance"]} == {"unavailable"}
