"""A bundle of artifacts of three graphs, through everything that reads a bundle."""

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from phone import save_turned
from PIL import Image

import compress
from compress.artifacts.artifact import plan_artifacts
from compress.artifacts.runtime.open import open_runner
from compress.artifacts.runtime.staged import StagedRunner
from compress.bundle.manifest import MANIFEST
from compress.bundle.open import check_files, open_bundle
from compress.bundle.picture import read_picture
from compress.bundle.readme import README
from compress.bundle.verify import verify
from compress.elir.checkpoint import load_checkpoint
from compress.elir.restore import TorchNetworks, restore_staged
from compress.elir.tiles import Tiling
from compress.errors import InputError, VerificationError
from compress.package.write import package
from compress.pipeline.bench import bench
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.load import load_recipe
from compress.recipe.schema import Format, Recipe
from compress.restore.demo import choose
from compress.restore.open import Settings, open_restorer
from compress.targets.bench import sample_pictures
from compress.targets.entries import Bench
from compress.targets.local import bench_local

ROOT = Path(__file__).parents[2]
SILENT = Progress("silent")
Make = Callable[..., Recipe]
SUFFIXES: dict[Format, str] = {"openvino": "xml", "onnx": "onnx", "executorch": "pte"}
FORMATS = pytest.mark.parametrize("format", list(SUFFIXES))


def staged_recipe(make: Make) -> Recipe:
    both = {"precisions": ["fp32", "int8"]}
    exports = {"openvino": both, "onnx": both, "executorch": {"precisions": ["fp32"]}}
    return make(export=exports | {"layout": "staged"})


@pytest.fixture(scope="module")
def staged_bundle(tiny_recipe: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("staged") / "tiny"
    compress.apply(staged_recipe(tiny_recipe), folder, progress=SILENT)
    return folder


def test_each_artifact_is_three_files_under_one_id(staged_bundle: Path, tiny_recipe: Make) -> None:
    manifest = json.loads((staged_bundle / MANIFEST).read_text())
    listed = {file["path"] for file in manifest["files"]}
    assert len(manifest["artifacts"]) == 5
    for artifact, entry in zip(plan_artifacts(staged_recipe(tiny_recipe)), manifest["artifacts"], strict=True):
        folder, suffix = f"{artifact.precision}/{artifact.format}", SUFFIXES[artifact.format]
        assert entry["stages"] == {stage: f"{folder}/{stage}.{suffix}" for stage in ("encode", "flow", "decode")}
        assert entry["entry"] == entry["stages"]["encode"]
        assert {*artifact.files} <= listed
        assert [port["name"] for port in entry["inputs"]] == ["lq", "noise"]


def test_its_recipe_asks_for_the_same(staged_bundle: Path, tiny_recipe: Make) -> None:
    again = load_recipe(str(staged_bundle / "recipe.yaml"))
    assert again.export == staged_recipe(tiny_recipe).export and again.export.layout == "staged"
    assert again.export.onnx is not None and not again.export.onnx.tensorrt


def test_results_are_those_of_the_whole_artifact(staged_bundle: Path, finished: Any) -> None:
    results = open_bundle(staged_bundle).results()
    assert all(parity.met for parity in results.parity) and len(results.parity) == 5
    single = {entry.artifact: entry.psnr_db for entry in finished.result.document.quality}
    for entry in results.quality:
        wanted = single.get(entry.artifact, single["onnx-fp32"])
        assert entry.psnr_db == pytest.approx(wanted, abs=1e-3 if "fp32" in entry.artifact else 0.02)
    for artifact in results.artifacts:
        assert artifact.bytes == sum((staged_bundle / file).stat().st_size for file in artifact.files)
    stages = [share.stage for share in results.shares if share.artifact == "onnx-fp32"]
    assert stages[:4] == ["encoder", "MMSE estimator", "flow, step 1", "decoder"]


def test_none_holds_a_network_twice(staged_bundle: Path, finished: Any) -> None:
    """One graph of the model has the same weights; three have what says how, thrice."""
    sizes = {artifact.id: artifact.bytes for artifact in open_bundle(staged_bundle).results().artifacts}
    for artifact in finished.result.document.artifacts:
        if artifact.id in sizes:
            assert sizes[artifact.id] < 1.06 * artifact.bytes
    assert sizes["executorch-fp32"] < 1.06 * sizes["onnx-fp32"]


def test_verify_runs_them_again(staged_bundle: Path) -> None:
    assert all(found.psnr_db > 60 for found in verify(staged_bundle, SILENT).parity)


@FORMATS
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_picture_of_several_tiles_is_the_checkpoints(
    format: Format, precision: str, staged_bundle: Path, tiny_recipe: Make, photo: NDArray[np.uint8]
) -> None:
    """Encoder and decoder by tiles of 64 px, the flow on the whole latent: no seam that the checkpoint has not."""
    entry = staged_bundle / precision / format / f"encode.{SUFFIXES[format]}"
    if not entry.exists():
        assert (format, precision) == ("executorch", "int8")
        return
    restorer = open_restorer(str(entry), Settings(seed=3, task="sr_x4", overlap=32))
    networks = TorchNetworks(load_checkpoint(tiny_recipe().model.weights))
    picture = photo[:33, :50]
    calls: list[int] = []
    restored = restorer.restore(picture, lambda: calls.append(1))
    assert len(calls) == restorer.steps(33, 50) == 2 * restorer.tiles(33, 50) + 1 > 20
    apart = np.abs(restored - restore_staged(picture, networks, Tiling(4, (64, 64), 32), seed=3).astype(int))
    assert apart.max() <= 1
    assert apart.mean() < (1e-3 if precision == "fp32" else 0.2)


@FORMATS
def test_a_picture_smaller_than_a_tile(
    format: Format, staged_bundle: Path, tiny_recipe: Make, photo: NDArray[np.uint8]
) -> None:
    """It is padded to a tile; the flow does not see the padding, and what encoder and decoder see of it is a mirror."""
    restorer = open_restorer(str(staged_bundle / f"fp32/{format}/encode.{SUFFIXES[format]}"), Settings(task="sr_x4"))
    networks = TorchNetworks(load_checkpoint(tiny_recipe().model.weights))
    restored, wanted = restorer.restore(photo[:8, :8], lambda: None), restore_staged(photo[:8, :8], networks, Tiling(4))
    apart = np.abs(restored.astype(int) - wanted)
    assert apart.shape == (32, 32, 3) and apart.mean() < 0.5


@FORMATS
def test_any_of_the_three_files_opens_it(format: Format, staged_bundle: Path, tmp_path: Path) -> None:
    suffix = SUFFIXES[format]
    folder = shutil.copytree(staged_bundle / f"fp32/{format}", tmp_path / "alone")
    lq, noise = np.full((1, 3, 64, 64), 0.5, np.float32), np.zeros((1, 16, 8, 8), np.float32)
    runners = [open_runner(folder / f"{stage}.{suffix}", format, 1) for stage in ("encode", "flow")]
    assert all(isinstance(runner, StagedRunner) for runner in runners)
    assert np.array_equal(*(runner.run(lq, noise) for runner in runners))
    assert runners[0].about["stage"] == "encode" and runners[0].about["output"].startswith("latent (1, 16, H/8")
    (folder / f"flow.{suffix}").unlink()
    with pytest.raises(InputError, match=rf"flow\.{suffix} is not beside it: copy all three graphs"):
        open_runner(folder / f"encode.{suffix}", format, 1)
    shutil.copy(folder / f"encode.{suffix}", folder / f"flow.{suffix}")
    with pytest.raises(VerificationError, match=rf"flow\.{suffix}: "):
        open_runner(folder / f"encode.{suffix}", format, 1)


def test_executorch_takes_latents_up_to_a_side(staged_bundle: Path) -> None:
    runner = open_runner(staged_bundle / "fp32/executorch/encode.pte", "executorch", 1)
    assert isinstance(runner, StagedRunner)
    latent = np.zeros((1, 16, 4, 516), np.float32)
    with pytest.raises(
        InputError, match="4128 x 32 px, is larger than 4096 px a side, which the artifact takes: cut it"
    ):
        runner.flow(latent, latent)
    assert runner.flow(latent[..., :512], latent[..., :512]).shape == (1, 16, 4, 512)


def test_a_manifest_whose_graphs_lie_apart(staged_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(staged_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["artifacts"][0]["stages"]["flow"] = manifest["artifacts"][1]["stages"]["flow"]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(VerificationError, match=r"damaged manifest \(artifacts\.0: .*stages of openvino-fp32 are not"):
        open_bundle(bundle)


@pytest.mark.parametrize("format", ["onnx", "executorch"])
def test_bench_times_all_three(format: Format, staged_bundle: Path, tiny_recipe: Make) -> None:
    opened = open_bundle(staged_bundle)
    inputs = sample_pictures(partial(read_picture, opened), opened.samples(), 0)
    arch = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    runtime: Any = {"onnx": "onnxruntime"}.get(format, format)
    target = DeployTarget(version=1, name="here", runtime=runtime, format=format, arch=arch, threads=1)
    artifact = next(a for a in plan_artifacts(staged_recipe(tiny_recipe)) if a.format == format)
    (entry,) = bench_local(Bench({artifact: staged_bundle / artifact.entry}, target, inputs, "quick", SILENT))
    assert entry.latency_ms is not None and entry.latency_ms.p50 > 0


def test_bench_refuses_what_takes_one_graph_only(staged_bundle: Path) -> None:
    message = r"target web-wasm \(browser\) runs no artifact of export\.layout: staged: choose another target"
    with pytest.raises(InputError, match=message):
        bench(staged_bundle, "web-wasm", SILENT)


TARGETS: dict[Format, str] = {"openvino": "x86-openvino", "onnx": "x86-onnxruntime", "executorch": "x86-executorch"}


@FORMATS
def test_a_package_restores_by_three_graphs(
    format: Format, staged_bundle: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    """A picture of 20 tiles, and one smaller than a tile, by run.py as by `compress restore`."""
    folder = package(staged_bundle, TARGETS[format], tmp_path / "product")
    assert not any((folder / name).exists() for name in ("cpp", "android", "web"))
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| the graph `flow` of the artifact |" in text and "C++" not in text and "runs the flow once" in text
    check_files(open_bundle(folder))
    restorer = open_restorer(str(folder), Settings(seed=3))
    for picture in (photo[:37, :41], photo[:8, :8]):
        Image.fromarray(picture).save(tmp_path / "photo.png")
        command = [sys.executable, str(folder / "run.py"), "photo.png", "restored.png", "--seed", "3"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PATH": ""})
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / "restored.png") as image:
            made = np.asarray(image, int)
        assert np.abs(made - restorer.restore(picture, lambda: None)).max() <= 1


def test_the_browser_and_the_demo_refuse_three_graphs(staged_bundle: Path, tmp_path: Path) -> None:
    message = r"target web-wasm \(browser\) runs no artifact of export\.layout: staged: choose another target"
    with pytest.raises(InputError, match=message):
        package(staged_bundle, "web-wasm", tmp_path / "product")
    with pytest.raises(InputError, match="the demo's page runs one graph, not the three of export"):
        choose(open_bundle(staged_bundle), None)


def test_the_readmes_lines_run(staged_bundle: Path, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    text = (staged_bundle / README).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == len(SUFFIXES) and "Each is three graphs in one folder" in text
    noise = np.random.default_rng(0).standard_normal((1, 16, 8, 8), np.float32)
    (folder := tmp_path / "in the bundle").mkdir()
    Image.fromarray(photo[:64, :64]).save(tmp_path / "photo.png")
    for block in blocks:
        lines = re.sub(r'"(?=\w+/\w+/\{stage)', f'"{staged_bundle}/', block)
        done = subprocess.run([sys.executable, "-c", lines], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for format, suffix in SUFFIXES.items():
        precision = "fp32" if format == "executorch" else "int8"
        runner = open_runner(staged_bundle / f"{precision}/{format}/encode.{suffix}", format, 1)
        wanted = runner.run(photo[None, :64, :64].transpose(0, 3, 1, 2).astype(np.float32) / 255, noise)[0]
        given = np.asarray(Image.open(tmp_path / f"restored_by_{format}.png")).astype(float)
        assert np.abs(given - 255 * wanted.transpose(1, 2, 0)).mean() < 0.6


def test_the_lines_of_the_docs_restore_as_the_package_does(
    staged_bundle: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Of whole pictures, with the same noise, to a step of rounding."""
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/staged.md").read_text("utf-8"), re.DOTALL)
    lines = lines.replace('"runs/staged/int8/onnx", 256, 4, 64', f'"{staged_bundle}/int8/onnx", 64, 4, 32')
    save_turned(photo[:33, :50], tmp_path / "photo.png")
    done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    restorer = open_restorer(str(staged_bundle / "int8/onnx/encode.onnx"), Settings(task="sr_x4", overlap=32))
    apart = np.abs(
        restorer.restore(photo[:33, :50], lambda: None) - np.asarray(Image.open(tmp_path / "restored.png"), int)
    )
    assert apart.shape == (132, 200, 3) and apart.max() <= 1
