"""A bundle's README.md: its lines run as they stand, and give what the product gives."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phone import save_turned
from PIL import Image

from compress.artifacts.runtime.open import open_runner
from compress.bundle.open import open_bundle
from compress.bundle.readme import README, readme

INPUTS = [{"name": "lq", "shape": [1, 3, 64, 96]}, {"name": "noise", "shape": [1, 16, 8, 12]}]
BLOCKS = re.compile(r"```python\n(.*?)```", re.DOTALL)


def entry(format_: str, precision: str, variant: str = "") -> dict[str, Any]:
    name = f"{format_}-{precision}{variant}"
    return {"id": name, "format": format_, "entry": f"{precision}/{format_}/model{variant}", "inputs": INPUTS}


def test_each_runtime_runs_its_smallest_artifact() -> None:
    artifacts = [
        entry("onnx", "fp32"),
        entry("openvino", "fp32"),
        entry("onnx", "int8"),
        entry("onnx", "int8", "-tensorrt"),
    ]
    text = readme("mine", "sr_x4", 4, artifacts)
    assert (
        "enlarged 4 times" in text
        and "picture of 96 x 64 px" in text
        and "`photo.png` of 24 x 16 px" in text
        and "| onnx-int8-tensorrt |" in text
    )
    onnx, openvino = BLOCKS.findall(text)
    assert '"int8/onnx/model"' in onnx and '"fp32/openvino/model"' in openvino
    assert "resize((96, 64)" in onnx and "standard_normal((1, 16, 8, 12)" in onnx


def test_a_baked_noise_is_not_asked_for() -> None:
    text = readme("mine", "denoise", 1, [{**entry("onnx", "int8"), "inputs": INPUTS[:1]}])
    assert "noise" not in text.replace("denoise", "") and "enlarged" not in text


def test_a_seed_is_given() -> None:
    inputs = [INPUTS[0], {"name": "seed", "shape": [1], "dtype": "int64"}]
    text = readme("mine", "denoise", 1, [{**entry("executorch", "int8"), "inputs": inputs}])
    assert "the seed of its noise, 0 to 16777215" in text and 'inputs["seed"] = np.array([0], np.int64)' in text


def test_the_lines_run(finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    bundle = shutil.copytree(finished.folder, tmp_path / "bundle", ignore=shutil.ignore_patterns(".*"))
    save_turned(photo[:16, :16], tmp_path / "photo.png")
    blocks = BLOCKS.findall((bundle / README).read_text(encoding="utf-8"))
    assert blocks and all(len(block.splitlines()) <= 14 for block in blocks)
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=bundle, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    enlarged = np.asarray(Image.fromarray(photo[:16, :16]).resize((64, 64), Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(0).standard_normal((1, 16, 8, 8), np.float32)
    for path in tmp_path.glob("restored_by_*.png"):
        format_: Any = path.stem.removeprefix("restored_by_")
        used = next(b for b in blocks if path.name in b)
        model = bundle / re.search(r'"(\w+/\w+/model\.\w+)"', used)[1]  # type: ignore[index]
        hq = open_runner(model, format_, 1).run(enlarged.transpose(2, 0, 1)[None] / 255, noise)
        wanted = (hq[0].transpose(1, 2, 0) * 255 + 0.5).astype(int)
        assert np.abs(np.asarray(Image.open(path)).astype(int) - wanted).max() <= 1
    assert len(list(tmp_path.glob("restored_by_*.png"))) == len(blocks)
    assert open_bundle(bundle).unlisted_files() == []


@pytest.mark.parametrize("format_", ["openvino", "onnx", "executorch"])
def test_every_format_has_its_lines(format_: str) -> None:
    (block,) = BLOCKS.findall(readme("mine", "deblur", 1, [entry(format_, "fp32")]))
    compile(block, "README.md", "exec")
