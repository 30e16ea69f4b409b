"""What an emulated run is remembered by."""

from pathlib import Path

import numpy as np
import pytest

from compress.targets.emulator import qemu as module
from compress.targets.emulator.qemu import Emulator
from compress.targets.tools.arm_emulator import ArmEmulator


@pytest.mark.parametrize("runtime", ["onnxruntime", "executorch"])
def test_an_edited_runner_finds_nothing_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    artifact = tmp_path / ("model.onnx" if runtime == "onnxruntime" else "model.pte")
    artifact.write_bytes(b"\x08\x08")
    inputs = {"lq": np.zeros((1, 32, 32, 3), np.uint8), "noise": np.zeros((1, 16, 4, 4), np.float32)}
    core = Emulator("cortex-a76", runtime, {}, ArmEmulator())
    key = core._key(artifact, inputs)
    assert core._key(artifact, inputs) == key
    monkeypatch.setattr(module, "runner_sha256", lambda: "an edited runner's")
    assert core._key(artifact, inputs) != key
