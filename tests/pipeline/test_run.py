"""A bundle of graphs that take and give pictures of 8 bits, through everything that reads a bundle."""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import compress
from compress.artifacts.artifact import Artifact
from compress.artifacts.runtime.open import open_runner
from compress.bundle.open import open_bundle
from compress.bundle.picture import read_picture
from compress.bundle.readme import README
from compress.bundle.verify import verify
from compress.errors import InputError
from compress.pipeline.inputs import load_sets
from compress.progress import Progress
from compress.recipe.schema import DeployTarget, Format, Recipe
from compress.restore.evaluate import evaluate
from compress.restore.figures import JudgeOptions
from compress.restore.open import Settings, open_restorer
from compress.targets.bench import sample_pictures
from compress.targets.entries import Bench
from compress.targets.local import bench_local

SILENT = Progress("silent")
Make = Callable[..., Recipe]
FORMATS: tuple[Format, ...] = ("openvino", "onnx")


@pytest.fixture(scope="module")
def pictures(tiny_recipe: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of ``tiny_recipe()``, whose artifacts take and give pictures."""
    both = {"precisions": ["fp32", "int8"]}
    recipe = tiny_recipe(export={"openvino": both, "onnx": both, "io": "uint8"})
    return compress.apply(recipe, tmp_path_factory.mktemp("pictures") / "tiny", progress=SILENT).folder


def test_the_manifest_states_what_they_take_and_give(pictures: Path) -> None:
    for artifact in json.loads((pictures / "manifest.json").read_text())["artifacts"]:
        assert artifact["inputs"] == [
            {"name": "image", "shape": [1, 16, 16, 3], "dtype": "uint8"},
            {"name": "noise", "shape": [1, 16, 8, 8], "dtype": "float32"},
        ]
        assert artifact["outputs"] == [{"name": "restored", "shape": [1, 64, 64, 3], "dtype": "uint8"}]


def test_quality_is_that_of_the_float_graphs(pictures: Path, finished: Any) -> None:
    """Measured from bytes to bytes, on the same pictures and noise: the same figures, but for a px here and there."""
    results = open_bundle(pictures).results()
    for entry, floats in zip(results.quality, finished.result.document.quality, strict=True):
        assert entry.artifact == floats.artifact
        assert entry.psnr_db == pytest.approx(floats.psnr_db, abs=0.02 if "int8" in entry.artifact else 1e-3)
    for parity in results.parity:
        assert parity.met
        assert parity.against != "torch-fp32" or parity.psnr_db > 75, "8-bit pictures that are equal almost everywhere"
    assert results.shares and all(sample.image for sample in results.samples)


def test_verify_runs_them_again(pictures: Path) -> None:
    assert all(found.psnr_db > 60 for found in verify(pictures, SILENT).parity)


@pytest.mark.parametrize("format", FORMATS)
def test_restore_cuts_tiles_before_they_are_enlarged(
    format: str, pictures: Path, finished: Any, photo: NDArray[np.uint8]
) -> None:
    """Of whole tiles the float graph's picture, to a step of rounding; of odd sizes, apart from the padded edge."""
    path = next((pictures / f"fp32/{format}").glob("model.[xo]*"))
    own, floats = (
        open_restorer(str(folder / path.relative_to(pictures)), Settings(task="sr_x4", overlap=32))
        for folder in (pictures, finished.folder)
    )
    assert own.enlarges and own.scale == floats.scale == 4
    for height, width, edge in ((16, 16, 0), (24, 32, 0), (23, 17, 12)):
        restored = own.restore(photo[:height, :width], lambda: None)
        wanted = floats.restore(photo[:height, :width], lambda: None)
        away = np.abs(restored.astype(int) - wanted)[: 4 * height - edge, : 4 * width - edge]
        assert restored.shape == wanted.shape == (4 * height, 4 * width, 3)
        if (height, width) == (16, 16):
            assert away.max() <= 1
        assert away.mean() < 1, "tiles differ where their own edges were enlarged: outside of what is blended in"


def test_it_enlarges_by_its_own_factor(pictures: Path) -> None:
    with pytest.raises(InputError, match=r"scale \(=1\) differs from the artifact's 4, which enlarges: leave it out"):
        open_restorer(str(pictures / "fp32/onnx/model.onnx"), Settings(scale=1))


def test_evaluate_gives_them_the_small_pictures(pictures: Path, finished: Any, tiny_recipe: Make) -> None:
    folder = tiny_recipe().data.validation[0]
    own, floats = (
        evaluate(str(bundle / "fp32/onnx/model.onnx"), [folder], JudgeOptions(), SILENT).results[0].scores["model"]
        for bundle in (pictures, finished.folder)
    )
    assert own.psnr_db == pytest.approx(floats.psnr_db, abs=1e-3)


def test_bench_times_them_from_bytes_to_bytes(pictures: Path) -> None:
    bundle = open_bundle(pictures)
    inputs = sample_pictures(partial(read_picture, bundle), bundle.samples(), 0)
    assert inputs["image"].shape[1:] == (16, 16, 3)
    arch = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    target = DeployTarget(version=1, name="here", runtime="onnxruntime", format="onnx", arch=arch, threads=1)
    artifact = Artifact("onnx", "int8")
    (entry,) = bench_local(Bench({artifact: pictures / artifact.entry}, target, inputs, "quick", SILENT))
    assert entry.latency_ms is not None and entry.latency_ms.p50 > 0


def test_the_readmes_lines_run(pictures: Path, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (pictures / README).read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == len(FORMATS) and "8 bits, as it is" in (pictures / README).read_text(encoding="utf-8")
    noise = np.random.default_rng(0).standard_normal((1, 16, 8, 8), np.float32)
    for block in blocks:
        lines = block.replace('"int8/', f'"{pictures}/int8/')
        Image.fromarray(photo[:16, :16]).save(tmp_path / "photo.png")
        done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for format, name in zip(FORMATS, ("model.xml", "model.onnx"), strict=True):
        runner = open_runner(pictures / "int8" / format / name, format, 1)
        wanted = runner.restore(photo[None, :16, :16], noise)[0].astype(int)
        assert np.abs(np.asarray(Image.open(tmp_path / f"restored_by_{format}.png")) - wanted).max() <= 1


def test_pairs_on_the_output_grid_have_no_small_pictures(tiny_recipe: Make, tiny_inputs: Path, tmp_path: Path) -> None:
    low = tiny_inputs / "validation"
    (tmp_path / "pairs.yaml").write_text(f"version: 1\nname: pairs\npairs: {{low: {low}, enlarged: true}}\ncount: 2\n")
    recipe = tiny_recipe(
        data={"calibration": str(tiny_inputs / "calibration"), "validation": [str(tmp_path / "pairs.yaml")]},
        export={"onnx": {}, "io": "uint8"},
    )
    with pytest.raises(InputError, match=r"pairs: export\.io: uint8 needs pictures before they are enlarged 4 times"):
        load_sets(recipe)
    load_sets(recipe.model_copy(update={"export": recipe.export.model_copy(update={"io": "float"})}))
