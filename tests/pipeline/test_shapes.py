"""Several shapes from one calibration: a bundle with an artifact per shape, through everything that reads a bundle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

import compress
from compress.artifacts.inspect.external_data import copy_whole
from compress.artifacts.runtime.open import open_runner
from compress.bundle.open import open_bundle
from compress.bundle.verify import verify
from compress.elir.noise import picture_inputs
from compress.errors import InputError, VerificationError
from compress.ledger.from_bundle import measurements
from compress.package.choose import choose as package_choice
from compress.package.write import package
from compress.pipeline.bench import bench
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.schema import Recipe
from compress.recipe.validation import load_model
from compress.restore.open import Settings, open_restorer

SILENT = Progress("silent")
Make = Callable[..., Recipe]
FIRST = ["openvino-fp32", "onnx-fp32", "executorch-fp32", "openvino-int8", "onnx-int8"]
SIZES = [64, [64, 96], 160]


@pytest.fixture(scope="session")
def shapes_bundle(
    tiny_recipe: Make, tiny_inputs: Path, shared: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle of three shapes: one of two pictures is large enough for the second, none for the third. Not to be
    changed."""

    def write(folder: Path) -> None:
        (folder / "pictures").mkdir()
        for i, (height, width) in enumerate([(70, 100), (64, 80)]):
            Image.fromarray(data.coffee()[:height, 90 * i : 90 * i + width]).save(folder / f"pictures/p{i}.png")
        compress.apply(several(tiny_recipe, tiny_inputs, folder / "pictures"), folder / "shapes", progress=SILENT)

    folder, _ = shared("shapes", write)
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("shapes") / "made") / "shapes")


def several(tiny_recipe: Make, tiny_inputs: Path, pictures: Path) -> Recipe:
    both = {"precisions": ["fp32", "int8"]}
    return tiny_recipe(
        model={"weights": str(tiny_inputs / "tiny.safetensors"), "image_sizes": SIZES},
        data={"calibration": str(tiny_inputs / "calibration"), "validation": [str(pictures)]},
        export={
            "openvino": both,
            "onnx": {**both, "tensorrt": False},
            "executorch": {"precisions": ["fp32"]},
        },
    )


def size(folder: Path, name: str) -> int:
    return (folder / name).stat().st_size


def test_an_artifact_for_each_shape(shapes_bundle: Path) -> None:
    bundle = open_bundle(shapes_bundle)
    shapes = {artifact.id: bundle.shape(artifact) for artifact in bundle.manifest.artifacts}
    assert shapes == {
        **dict.fromkeys(FIRST, (64, 64)),
        **{f"{id}-64x96": (64, 96) for id in FIRST},
        **{f"{id}-160x160": (160, 160) for id in FIRST},
    }
    assert (shapes_bundle / "README.md").read_text().count("64 x 64 px") >= 1


def test_weights_are_there_once(shapes_bundle: Path) -> None:
    names = {path.relative_to(shapes_bundle).as_posix() for path in shapes_bundle.rglob("model*")}
    assert {name for name in names if name.endswith((".bin", ".data"))} == {
        f"{precision}/{file}" for precision in ("fp32", "int8") for file in ("openvino/model.bin", "onnx/model.data")
    }
    for artifact in open_bundle(shapes_bundle).results().artifacts:
        own = [name for name in artifact.files if not name.endswith((".bin", ".data"))]
        assert artifact.bytes == sum(size(shapes_bundle, name) for name in artifact.files)
        shared = 0 if artifact.format == "executorch" else artifact.bytes - sum(size(shapes_bundle, n) for n in own)
        assert artifact.shared_bytes == shared
        if artifact.format != "executorch":
            # What each further shape costs.
            assert size(shapes_bundle, artifact.entry) < 0.15 * artifact.bytes or artifact.precision == "int8"


def test_the_first_shape_decides_and_every_shape_has_its_figures(shapes_bundle: Path) -> None:
    results = open_bundle(shapes_bundle).results()
    quality = {entry.artifact: entry for entry in results.quality}
    assert {id: entry.n for id, entry in quality.items()} == {
        **dict.fromkeys(FIRST, 2),
        **{f"{id}-64x96": 1 for id in FIRST},
    }
    assert quality["onnx-int8-64x96"].fidelity_db is not None and quality["onnx-fp32-64x96"].fidelity_db is None
    assert all(entry.met is not False for entry in results.parity)
    assert {entry.artifact for entry in results.parity} == set(quality)
    assert "64x96: measured on 1 of 2 pictures of pictures: the others are smaller" in results.notes
    assert "160x160: not measured on pictures: all of its pictures are smaller" in results.notes
    sizes = {artifact.id: artifact.size_ratio for artifact in results.artifacts}
    assert sizes["openvino-int8-64x96"] == pytest.approx(sizes["openvino-int8"], rel=0.05)
    macs = {artifact.id: artifact.macs for artifact in results.artifacts}
    assert macs["onnx-int8-64x96"] == pytest.approx(1.5 * macs["onnx-int8"], rel=1e-3)
    assert [artifact.id for artifact in results.first_shape.artifacts] == FIRST
    assert {id for sample in results.first_shape.samples for id in sample.outputs} == set(FIRST)


def test_verify_runs_those_that_have_a_sample(shapes_bundle: Path) -> None:
    parity = {entry.artifact: entry.psnr_db for entry in verify(shapes_bundle, SILENT).parity}
    assert set(parity) == {*FIRST, *(f"{id}-64x96" for id in FIRST)}
    assert min(parity.values()) > 50


def test_every_shape_runs_from_the_bundle_alone_and_as_a_copy(
    shapes_bundle: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    bundle = open_bundle(shapes_bundle)
    lq, noise = picture_inputs(photo[:64, :96], 0, 0)
    for id in FIRST:
        facts = bundle.artifact(f"{id}-64x96")
        opened, entry = bundle.open_artifact(facts), shapes_bundle / facts.entry
        copies = [bundle.copy_artifact(facts, tmp_path / "a"), copy_whole(entry, facts.format, tmp_path / id)]
        outputs = [
            open_runner(path, facts.format, 1, contents=contents).run(lq, noise)
            for path, contents in [(opened.path, opened.contents), *((path, None) for path in (entry, *copies))]
        ]
        assert all(np.array_equal(output, outputs[0]) for output in outputs)
        if facts.format == "openvino":
            import openvino

            assert openvino.Core().read_model(copies[0]).input("lq").shape == [1, 3, 64, 96]


@pytest.mark.parametrize(
    ("file", "id"), [("int8/openvino/model.bin", "openvino-int8"), ("int8/onnx/model.data", "onnx-int8")]
)
def test_shared_weights_that_were_changed_are_refused(file: str, id: str, shapes_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shapes_bundle, tmp_path / "shapes"))
    spoilt = bytearray((folder / file).read_bytes())
    spoilt[1000] ^= 1
    (folder / file).write_bytes(spoilt)
    bundle = open_bundle(folder)
    for shape in ("", "-64x96"):
        with pytest.raises(VerificationError, match=f"{file}: differs from its hash"):
            bundle.open_artifact(bundle.artifact(id + shape))


def test_a_picture_takes_the_shape_that_computes_least(shapes_bundle: Path, photo: np.ndarray) -> None:
    several = open_restorer(str(shapes_bundle), Settings(seed=3))
    for (height, width), suffix in {(16, 20): "_64x96", (12, 16): "", (30, 33): "_160x160"}.items():
        alone = open_restorer(str(shapes_bundle / f"int8/openvino/model{suffix}.xml"), Settings(seed=3))
        picture = photo[:height, :width]
        assert several.tiles(height, width) == alone.tiles(height, width) == 1
        wanted = alone.restore(picture, lambda: None)
        assert np.array_equal(several.restore(picture, lambda: None), wanted)
    assert open_restorer(str(shapes_bundle), Settings(tile=160)).tile == (160, 160)
    with pytest.raises(InputError, match=r"tile \(=128\) differs from the artifact's 64 x 64 px"):
        open_restorer(str(shapes_bundle), Settings(tile=128))


@pytest.mark.parametrize(("target", "id"), [("x86-onnxruntime", "onnx-int8"), ("x86-openvino", "openvino-int8")])
def test_a_package_holds_its_weights(
    target: str, id: str, shapes_bundle: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    folder = package(shapes_bundle, target, tmp_path / "package", f"{id}-64x96")
    models = sorted(path.name for path in folder.rglob("model_*") if path.suffix in (".onnx", ".xml", ".bin", ".data"))
    assert models == (["model_64x96.onnx"] if "onnx" in id else ["model_64x96.bin", "model_64x96.xml"])
    suffix = "onnx/model_64x96.onnx" if "onnx" in id else "openvino/model_64x96.xml"
    actual, wanted = (
        open_restorer(str(source), Settings()).restore(photo[:10, :20], lambda: None)
        for source in (folder, shapes_bundle / f"int8/{suffix}")
    )
    assert np.array_equal(actual, wanted)
    # Without an id, the first shape, however much quicker another would be.
    assert package_choice(open_bundle(shapes_bundle), load_model(DeployTarget, find("targets", target))).id in FIRST


def test_the_ledger_knows_the_shape_and_its_pictures(shapes_bundle: Path) -> None:
    bundle = open_bundle(shapes_bundle)
    rows = {row.artifact: row for row in measurements(bundle)}
    first, other = rows["onnx-int8"], rows["onnx-int8-64x96"]
    assert (first.image_size, first.image_shape) == (64, None)
    assert (other.image_size, other.image_shape) == (None, "64x96")
    assert (rows["onnx-int8-160x160"].image_size, rows["onnx-int8-160x160"].data_sha256) == (160, None)
    assert first.data_sha256 == bundle.manifest.data["pictures"]
    assert other.data_sha256 == bundle.manifest.data["pictures at 64x96"] != first.data_sha256


def test_an_unchanged_bundle_is_reused(
    shapes_bundle: Path, tiny_recipe: Make, tiny_inputs: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(shapes_bundle, tmp_path / "shapes"))
    manifest = json.loads((folder / "manifest.json").read_text())
    recipe = several(tiny_recipe, tiny_inputs, Path(manifest["recipe"]["data"]["validation"][0]))
    plan = compress.apply(recipe, folder, dry_run=True, progress=SILENT)
    assert [artifact["id"] for artifact in plan.to_json()["artifacts"]] == [a["id"] for a in manifest["artifacts"]]
    assert plan.state == "reused"


def test_bench_times_each_shape_on_its_own_pictures(shapes_bundle: Path) -> None:
    done = bench(shapes_bundle, "x86-openvino", SILENT, record=lambda *args: None)
    assert [entry.artifact for entry in done.performance] == [
        *("openvino-fp32", "openvino-int8", "openvino-fp32-64x96", "openvino-int8-64x96"),
    ]
    assert all(entry.latency_ms and entry.evidence == "measured" for entry in done.performance)
    assert done.performance[-1].speedup_vs.fp32.value > 0
