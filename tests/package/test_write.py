"""What a package holds, and what is refused in a line."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.bundle.manifest import write_manifest
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
    assert facts["model"] == "artifact/int8/onnx/model.onnx"
    model = (folder / facts["model"]).read_bytes()
    assert listed[facts["model"]]["sha256"] == hashlib.sha256(model).hexdigest()
    assert model == (finished.folder / "int8/onnx/model.onnx").read_bytes()
    text = (folder / "README.md").read_text()
    (quality,) = [row for row in open_bundle(finished.folder).results().quality if row.artifact == "onnx-int8"]
    assert f"| {quality.dataset} | {quality.n} | {quality.psnr_db:.2f} |" in text.replace("\\_", "_")
    assert "Nothing was timed on x86-onnxruntime" in text and "Goals of the recipe" not in text
    assert "Ollin Boer Bohan" in (folder / "licences/NOTICE").read_text()
    assert "Apache License" in (folder / "licences/LICENSE").read_text()


def edited(bundle: Path, edit: Callable[[dict[str, Any], dict[str, Any]], object]) -> Path:
    """``bundle`` whose manifest and results.json are changed by ``edit``, with true hashes."""
    manifest, results = (json.loads((bundle / name).read_text()) for name in ("manifest.json", "results.json"))
    edit(manifest, results)
    (bundle / "results.json").write_text(json.dumps(results))
    files = [file["path"] for file in manifest.pop("files")]
    write_manifest(bundle, manifest, files)
    return bundle


def timed(artifact: str, ms: float, **more: Any) -> dict[str, Any]:
    return {"artifact": artifact, "target": "x86-openvino", "latency_ms": {"p50": ms, "n": 20}, **more}


def test_the_fastest_on_the_target_is_taken_and_its_figures_say_what_they_stand_on(
    bundle: Path, tmp_path: Path
) -> None:
    """A float artifact that is faster there than the int8 one; a busy machine and a missed goal are not hidden."""
    busy = {"cpu": "A CPU", "busy": [{"name": "make", "cores": 1.5}]}
    rows = [
        timed("openvino-int8", 9.0),
        {**timed("openvino-fp32", 1.0), "target": "elsewhere", "evidence": "estimated"},
        timed("openvino-fp32", 4.25, threads=2, machine=busy, speedup_vs={"fp32": {"value": 1.0}}),
    ]
    goal = {"goal": "size_ratio", "artifact": "openvino-fp32", "bound": 3.0, "value": 1.0, "met": False}
    edited(bundle, lambda manifest, results: results.update(performance=rows, goals=[goal]))
    folder = package(bundle, "x86-openvino", tmp_path / "product")
    assert json.loads((folder / "compress.json").read_text())["artifact"] == "openvino-fp32"
    text = (folder / "README.md").read_text()
    here, there = [line for line in text.splitlines() if ("measured" in line and "4.25" in line) or "estimated" in line]
    assert here == "| x86-openvino | measured, while others took 1.5 cores (make) | 4.25 | 2 | 1.00 | - | - | A CPU |"
    assert there == "| elsewhere | estimated | 1.00 | - | - | - | - | - |"
    assert "Nothing was timed" not in text and "\n- size_ratio: 1.0\n" in text.replace("\\_", "_")


def test_int8_is_taken_where_nothing_was_timed(finished: Any, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-openvino", tmp_path / "product")
    assert json.loads((folder / "compress.json").read_text())["artifact"] == "openvino-int8"


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "artifact", "message"),
    [
        ("x86-openvin", None, "'x86-openvin': unknown deploy target, did you mean x86-openvino?"),
        (
            "x86-executorch",
            None,
            "none of its artifacts (openvino-fp32, onnx-fp32, openvino-int8, onnx-int8, onnx-int8-tensorrt) runs on "
            "target x86-executorch, which takes executorch in fp32 or fp16 or int8: add executorch for xnnpack to the "
            "recipe's export",
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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("int8/openvino/mo`del.xml", "not a name that a package can hold: do not use it"),
        (None, "what openvino-int8 is for"),
    ],
)
def test_a_stranger_names_his_artifact(name: str | None, message: str, bundle: Path, tmp_path: Path) -> None:
    def edit(manifest: dict[str, Any], results: dict[str, Any]) -> None:
        (entry,) = [artifact for artifact in manifest["artifacts"] if artifact["id"] == "openvino-int8"]
        if name is None:
            entry["task"] = "magic"
            return
        for suffix in (".xml", ".bin"):
            file = next(file for file in manifest["files"] if file["path"] == f"int8/openvino/model{suffix}")
            file["path"] = name.replace(".xml", suffix)
            (bundle / f"int8/openvino/model{suffix}").rename(bundle / file["path"])
        entry["entry"] = name

    with pytest.raises(VerificationError) as refused:
        package(edited(bundle, edit), "x86-openvino", tmp_path / "product")
    assert message in str(refused.value) and not (tmp_path / "product").exists()


def keep_weights_beside(bundle: Path, weights: bytes | None = None) -> None:
    """Put the largest tensor of onnx-int8 into a file of its own, or ``weights`` in its place."""
    import onnx
    from onnx.external_data_helper import set_external_data

    path = bundle / "int8/onnx/model.onnx"
    model = onnx.load(path)
    tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    path.with_name("weights.data").write_bytes(tensor.raw_data if weights is None else weights)
    set_external_data(tensor, "weights.data", 0, len(tensor.raw_data))
    tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    manifest = json.loads((bundle / "manifest.json").read_text())
    files = [file["path"] for file in manifest.pop("files")]
    write_manifest(bundle, manifest, [*files, "int8/onnx/weights.data"])


def test_weights_that_end_too_early_are_refused(bundle: Path, tmp_path: Path) -> None:
    keep_weights_beside(bundle, b"short")
    with pytest.raises(VerificationError, match=r"tiny/int8/onnx/model.onnx: its weights cannot be joined to it \("):
        package(bundle, "x86-onnxruntime", tmp_path / "product", "onnx-int8")
    assert not (tmp_path / "product").exists()


@pytest.mark.parametrize("version", ["1.2\n```\n# Verified", "<script>", "1:all@zip", "1" * 60])
def test_a_version_that_is_none_is_left_out(version: str, bundle: Path, tmp_path: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["versions"]["onnxruntime"] = version
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    folder = package(bundle, "x86-onnxruntime", tmp_path / "product", "onnx-int8")
    assert json.loads((folder / "compress.json").read_text())["runtime_version"] is None
    assert version not in (folder / "README.md").read_text()


def test_a_folder_in_the_bundle_is_refused(finished: Any) -> None:
    with pytest.raises(InputError, match="lies in the bundle, which holds what its manifest lists alone"):
        package(finished.folder, "x86-openvino", finished.folder / "product")
    check_files(open_bundle(finished.folder))


def test_links_in_a_circle_are_refused(finished: Any, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for out in (tmp_path / "circle", tmp_path / "circle/product"):
        with pytest.raises(InputError, match=r"circle(/product)?: (cannot be written|is a file)"):
            package(finished.folder, "x86-openvino", out)
