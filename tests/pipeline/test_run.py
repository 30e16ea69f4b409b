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

from compress.artifacts.artifact import Artifact
from compress.artifacts.runtime.base import PACKAGES
from compress.artifacts.runtime.open import open_runner
from compress.bundle.open import open_bundle
from compress.bundle.picture import read_picture
from compress.bundle.readme import README
from compress.bundle.verify import verify
from compress.data.degradations import enlarge
from compress.data.pictures import to_float, to_uint8
from compress.errors import InputError
from compress.measure.quality import psnr_db
from compress.pipeline.inputs import resolve
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.schema import Format, Recipe
from compress.restore.evaluate import evaluate
from compress.restore.figures import JudgeOptions
from compress.restore.open import Settings, open_restorer
from compress.targets.bench import sample_pictures
from compress.targets.entries import Bench
from compress.targets.local import bench_local
from compress.targets.runner.accuracy import as_picture, picture
from compress.targets.runner.runtimes import load

SILENT = Progress("silent")
Make = Callable[..., Recipe]
PROGRAMS: dict[Format, str] = {
    "openvino": "int8/openvino/model.xml",
    "onnx": "int8/onnx/model.onnx",
    "executorch": "fp32/executorch/model.pte",
}


def test_the_manifest_states_what_they_take_and_give(picture_bundle: Path) -> None:
    for artifact in json.loads((picture_bundle / "manifest.json").read_text())["artifacts"]:
        assert artifact["inputs"] == [
            {"name": "image", "shape": [1, 16, 16, 3], "dtype": "uint8"},
            {"name": "noise", "shape": [1, 16, 8, 8], "dtype": "float32"},
        ]
        assert artifact["outputs"] == [{"name": "restored", "shape": [1, 64, 64, 3], "dtype": "uint8"}]


def test_quality_is_that_of_the_float_graphs(picture_bundle: Path, finished: Any) -> None:
    """Measured from bytes to bytes, on the same pictures and noise: the same figures, but for a px here and there."""
    results = open_bundle(picture_bundle).results()
    floats = {entry.artifact: entry.psnr_db for entry in finished.result.document.quality}
    floats["executorch-fp32"] = floats["onnx-fp32"]
    assert {entry.artifact for entry in results.quality} == {*floats}
    for entry in results.quality:
        near = pytest.approx(floats[entry.artifact], abs=0.02 if "int8" in entry.artifact else 1e-3)
        assert entry.psnr_db == near
    for parity in results.parity:
        assert parity.met
        assert parity.against != "torch-fp32" or parity.psnr_db > 75, "8-bit pictures that are equal almost everywhere"
    assert results.shares and all(sample.image for sample in results.samples)


@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_the_quantized_graph_in_the_middle_is_the_same(
    format: Format, picture_bundle: Path, finished: Any, photo: NDArray[np.uint8]
) -> None:
    own, floats = (open_runner(folder / PROGRAMS[format], format, 1) for folder in (picture_bundle, finished.folder))
    noise = np.random.default_rng(0).standard_normal((1, 16, 8, 8), np.float32)
    enlarged = np.asarray(enlarge(Image.fromarray(photo[:16, :16]), 4))
    wanted = to_uint8(floats.run(to_float([enlarged]), noise)[0])
    # One rounding in 8 bits that falls to the other side moves all that follows.
    assert psnr_db(own.restore(photo[None, :16, :16], noise)[0], wanted) > 45


def test_verify_runs_them_again(picture_bundle: Path) -> None:
    assert all(actual.psnr_db > 60 for actual in verify(picture_bundle, SILENT).parity)


@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_restore_cuts_tiles_before_they_are_enlarged(
    format: str, picture_bundle: Path, finished: Any, photo: NDArray[np.uint8]
) -> None:
    """Of whole tiles the float graph's picture, to a step of rounding; of odd sizes, apart from the padded edge."""
    path = next((picture_bundle / f"fp32/{format}").glob("model.[xo]*"))
    own, floats = (
        open_restorer(str(folder / path.relative_to(picture_bundle)), Settings(task="sr_x4", overlap=32))
        for folder in (picture_bundle, finished.folder)
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


def test_it_enlarges_by_its_own_factor(picture_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"scale \(=1\) differs from the artifact's 4, which enlarges: leave it out"):
        open_restorer(str(picture_bundle / "fp32/onnx/model.onnx"), Settings(scale=1))


def test_evaluate_gives_them_the_small_pictures(picture_bundle: Path, finished: Any, tiny_recipe: Make) -> None:
    folder = tiny_recipe().data.validation[0]
    own, floats = (
        evaluate(str(bundle / "fp32/onnx/model.onnx"), [folder], JudgeOptions(), SILENT).results[0].scores["model"]
        for bundle in (picture_bundle, finished.folder)
    )
    assert own.psnr_db == pytest.approx(floats.psnr_db, abs=1e-3)


def test_bench_times_them_from_bytes_to_bytes(picture_bundle: Path) -> None:
    bundle = open_bundle(picture_bundle)
    inputs = sample_pictures(partial(read_picture, bundle), bundle.samples(), 0)
    assert inputs["image"].shape[1:] == (16, 16, 3)
    arch = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    target = DeployTarget(version=1, name="here", runtime="onnxruntime", format="onnx", arch=arch, threads=1)
    artifact = Artifact("onnx", "int8")
    (entry,) = bench_local(Bench({artifact: picture_bundle / artifact.entry}, target, inputs, "quick", SILENT))
    assert entry.latency_ms is not None and entry.latency_ms.p50 > 0


def test_artifacts_that_take_a_seed_are_compared_with_the_same_noise(seed_bundle: Path) -> None:
    results = json.loads((seed_bundle / "results.json").read_text())
    assert [(row["artifact"], row["met"]) for row in results["parity"]] == [
        (f"{format}-fp32", True) for format in PROGRAMS
    ]
    (_,) = {(round(row["psnr_db"], 2), round(row["lpips"], 3)) for row in results["quality"]}
    artifacts = open_bundle(seed_bundle).manifest.artifacts
    seed = {"name": "seed", "shape": [1], "dtype": "int64"}
    assert all(artifact.takes_seed and artifact.inputs[1].to_json() == seed for artifact in artifacts)


@pytest.mark.parametrize("format", ["onnx", "openvino", "executorch"])
def test_bench_gives_artifacts_the_seed_that_they_take(format: Format, seed_bundle: Path) -> None:
    """By the runner that is sent to devices: the picture that quality was measured on."""
    bundle = open_bundle(seed_bundle)
    stored = sample_pictures(partial(read_picture, bundle), bundle.samples(), 0, seeded=True)
    runtime, artifact = PACKAGES[format], Artifact(format, "fp32")
    entry = {"entry": artifact.entry}
    job = {"runtime": runtime, "threads": 1, "device": "CPU", "options": {}, "artifacts": {artifact.id: entry}}
    for i in range(len(bundle.samples())):
        inputs = picture(stored, i)
        made = as_picture(load(str(seed_bundle), job, artifact.id, inputs).run(inputs))
        assert np.abs(made.astype(int) - stored[f"output-{artifact.id}"][i]).max() <= 1


def test_the_readmes_lines_run(picture_bundle: Path, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (picture_bundle / README).read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == len(PROGRAMS) and "8-bit RGB picture" in (picture_bundle / README).read_text(encoding="utf-8")
    noise = np.random.default_rng(0).standard_normal((1, 16, 8, 8), np.float32)
    (folder := tmp_path / "in the bundle").mkdir()
    for block in blocks:
        lines = re.sub(r'"(?=\w+/\w+/model)', f'"{picture_bundle}/', block)
        Image.fromarray(photo[:16, :16]).save(tmp_path / "photo.png")
        done = subprocess.run([sys.executable, "-c", lines], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for format, path in PROGRAMS.items():
        runner = open_runner(picture_bundle / path, format, 1)
        wanted = runner.restore(photo[None, :16, :16], noise)[0].astype(int)
        assert np.abs(np.asarray(Image.open(tmp_path / f"restored_by_{format}.png")) - wanted).max() <= 1


def test_a_stage_is_named_for_all_that_it_holds(picture_bundle: Path) -> None:
    """Writing the first file was told to take as long as loading, collapsing and tracing the model."""
    results = json.loads((picture_bundle / "results.json").read_text())
    stages = [stage["stage"] for stage in results["seconds_by_stage"]]
    order = [
        stages.index(name) for name in ("load the model", "collapse", "trace the float model", "write openvino-fp32")
    ]
    assert order == sorted(order) and stages.count("trace the float model") == 1


def test_pairs_on_the_output_grid_have_no_small_pictures(tiny_recipe: Make, tiny_inputs: Path, tmp_path: Path) -> None:
    low = tiny_inputs / "validation"
    (tmp_path / "pairs.yaml").write_text(f"version: 1\nname: pairs\npairs: {{low: {low}, enlarged: true}}\ncount: 2\n")
    recipe = tiny_recipe(
        data={"calibration": str(tiny_inputs / "calibration"), "validation": [str(tmp_path / "pairs.yaml")]},
        export={"onnx": {}, "io": "uint8"},
    )
    with pytest.raises(InputError, match=r"pairs: export\.io: uint8 needs pictures before they are enlarged 4 times"):
        resolve(recipe)
    resolve(recipe.model_copy(update={"export": recipe.export.model_copy(update={"io": "float"})}))
