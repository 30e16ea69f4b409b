"""A package restores a whole picture as `compress restore` does with the same artifact, and says what it is made of."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compress.bundle.open import check_files, open_bundle
from compress.errors import InputError, VerificationError
from compress.package.write import package
from compress.progress import Progress
from compress.restore.open import Settings, open_restorer

TARGETS = {"openvino": "x86-openvino", "onnx": "x86-onnxruntime", "executorch": "x86-executorch"}
SIZE = (37, 41)
"""Rows and columns of a picture of odd size: at x4 nine tiles of 64 px."""


@pytest.fixture(scope="module")
def float_bundle(tiny_recipe: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three formats, floats in and out, the noise a constant of the graph."""
    import compress

    formats: dict[str, Any] = {format: {"precisions": ["fp32"]} for format in TARGETS}
    recipe = tiny_recipe(export=formats | {"noise": "baked"}, passes=[{"collapse": {}}])
    folder = tmp_path_factory.mktemp("floats") / "tiny"
    compress.apply(recipe, folder, progress=Progress("silent"))
    return folder


def restored_by(restorer: Any, picture: np.ndarray) -> np.ndarray:
    return restorer.restore(picture, lambda: None).astype(np.int16)


def run(folder: Path, *args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """run.py in a process of its own, away from this package."""
    command = [sys.executable, str(folder / "run.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={"PATH": ""})


@pytest.mark.parametrize("format", TARGETS)
@pytest.mark.parametrize("form", ["uint8", "float, noise baked"])
def test_run_py_restores_as_the_package_does(
    format: str, form: str, picture_bundle: Path, float_bundle: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    bundle = picture_bundle if form == "uint8" else float_bundle
    folder = package(bundle, TARGETS[format], tmp_path / "product")
    check_as_restore(folder, photo, tmp_path)


@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_run_py_of_graphs_that_take_floats_and_noise(
    format: str, finished: Any, photo: np.ndarray, tmp_path: Path
) -> None:
    folder = package(finished.folder, TARGETS[format], tmp_path / "product", f"{format}-int8")
    check_as_restore(folder, photo, tmp_path)


def check_as_restore(folder: Path, photo: np.ndarray, tmp_path: Path) -> None:
    picture = photo[: SIZE[0], : SIZE[1]]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    done = run(folder, "photo.png", "restored.png", "--seed", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ours = np.asarray(Image.open(tmp_path / "restored.png"), np.int16)
    wanted = restored_by(open_restorer(str(folder), Settings(seed=3)), picture)
    assert ours.shape == wanted.shape == (4 * SIZE[0], 4 * SIZE[1], 3)
    assert np.abs(ours - wanted).max() <= 1


def test_what_a_package_holds(finished: Any, tmp_path: Path) -> None:
    """Every file by its hash, what the artifact takes, the bundle's figures with what they stand on."""
    (tmp_path / "product").mkdir()
    folder = package(finished.folder, "x86-onnxruntime", tmp_path / "product", "onnx-int8")
    check_files(open_bundle(folder))
    facts = json.loads((folder / "compress.json").read_text())
    named = [facts[key] for key in ("artifact", "target", "task", "scale")]
    assert named == ["onnx-int8", "x86-onnxruntime", "sr_x4", 4]
    assert (facts["io"], facts["noise"], facts["tile"], facts["overlap"]) == ("float", "input", [64, 64], 32)
    listed = {file["path"]: file for file in json.loads((folder / "manifest.json").read_text())["files"]}
    assert listed.keys() == {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {
        "manifest.json"
    }
    model = (folder / facts["model"]).read_bytes()
    assert listed[facts["model"]]["sha256"] == hashlib.sha256(model).hexdigest()
    assert model == (finished.folder / "int8/onnx/model.onnx").read_bytes()
    text = (folder / "README.md").read_text()
    (quality,) = [row for row in open_bundle(finished.folder).results().quality if row.artifact == "onnx-int8"]
    assert f"| {quality.dataset} | {quality.n} | {quality.psnr_db:.2f} |" in text.replace("\\_", "_")
    assert "Nothing was timed on x86-onnxruntime" in text and "Goals of the recipe" not in text
    assert "Ollin Boer Bohan" in (folder / "licences/NOTICE").read_text()
    assert "Apache License" in (folder / "licences/LICENSE").read_text()


def test_the_python_of_its_readme_runs(finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-openvino", tmp_path / "product")
    (block,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    Image.fromarray(photo[:20, :30]).save(folder / "photo.jpg")
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert Image.open(folder / "restored.png").size == (120, 80)


def test_run_py_of_no_picture_says_so_in_a_line(finished: Any, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-openvino", tmp_path / "product")
    done = run(folder, "missing.png", "restored.png", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "[Errno 2] No such file or directory: 'missing.png'\n")


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "artifact", "message"),
    [
        ("x86-openvin", None, "'x86-openvin': unknown deploy target, did you mean x86-openvino?"),
        (
            "x86-executorch",
            None,
            "none of its artifacts (openvino-fp32, onnx-fp32, openvino-int8, onnx-int8, onnx-int8-tensorrt) runs on "
            "target x86-executorch, which takes executorch in fp32 or fp16 or int8: add executorch to the recipe's "
            "export",
        ),
        ("x86-openvino", "openvino-int4", "has no artifact 'openvino-int4', did you mean openvino-int8?"),
        (
            "x86-openvino",
            "onnx-int8",
            "onnx-int8: does not run on target x86-openvino (openvino): give one of openvino-fp32, openvino-int8",
        ),
        ("x86-executorch", "onnx-int8", "(executorch): give another target"),
    ],
)
def test_what_does_not_fit(target: str, artifact: str | None, message: str, finished: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        package(finished.folder, target, tmp_path / "product", artifact)
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_stays_as_it_is(finished: Any, tmp_path: Path) -> None:
    (tmp_path / "product").mkdir()
    (tmp_path / "product/mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"product: is a folder with files in it: name a new or an empty folder$"):
        package(finished.folder, "x86-openvino", tmp_path / "product")
    with pytest.raises(InputError, match=r"mine.txt: is a file: name a new or an empty folder$"):
        package(finished.folder, "x86-openvino", tmp_path / "product/mine.txt")
    assert [path.name for path in tmp_path.rglob("*")] == ["product", "mine.txt"]


def test_a_changed_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "report.html").write_text("changed")
    with pytest.raises(VerificationError, match=r"report.html: differs from its hash in the manifest"):
        package(bundle, "x86-openvino", tmp_path / "product")
    assert not (tmp_path / "product").exists()
