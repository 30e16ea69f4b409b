"""What a package holds, and what is refused in a line."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from compress.bundle.open import check_files, open_bundle
from compress.errors import InputError, VerificationError
from compress.package.write import package


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
