"""The door to a bundle: it hands out what the manifest says, and everything that an artifact reads is listed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner

from compress.artifacts.artifact import ENTRY, artifact_of
from compress.artifacts.stages import STAGES
from compress.bundle.manifest import write_manifest
from compress.bundle.open import open_bundle
from compress.cli.commands import app
from compress.errors import VerificationError

SIDE = 64
PORTS = [{"name": "lq", "shape": [1, 3, SIDE, SIDE]}, {"name": "noise", "shape": [1, 16, SIDE // 8, SIDE // 8]}]


def write_onnx(path: Path, location: str | None = None) -> None:
    """An artifact that doubles its input by a factor, kept in a file of its own when ``location`` is given."""
    ports = [helper.make_tensor_value_info(port["name"], TensorProto.FLOAT, port["shape"]) for port in PORTS]
    output = helper.make_tensor_value_info("hq", TensorProto.FLOAT, PORTS[0]["shape"])
    factor = numpy_helper.from_array(np.array([2.0], np.float32), "factor")
    if location is not None:
        factor.ClearField("raw_data")
        factor.data_location = TensorProto.EXTERNAL
        factor.external_data.add(key="location", value=location)
    graph = helper.make_graph([helper.make_node("Mul", ["lq", "factor"], ["hq"])], "g", ports, [output], [factor])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


def artifact(format: str = "onnx", **more: Any) -> dict[str, Any]:
    entry = f"fp32/{format}/{ENTRY[format]}"
    facts = {"id": f"{format}-fp32", "format": format, "precision": "fp32", "entry": entry, "task": "denoise"}
    return {**facts, "inputs": PORTS, **more}


@pytest.fixture()
def small(tmp_path: Path) -> Path:
    """A bundle of one ONNX artifact with weights in a file of their own, listed."""
    folder = tmp_path / "small"
    write_onnx(folder / "fp32/onnx/model.onnx", "weights.bin")
    (folder / "fp32/onnx/weights.bin").write_bytes(np.array([2.0], np.float32).tobytes())
    write_manifest(folder, {"artifacts": [artifact()]}, ["fp32/onnx/model.onnx", "fp32/onnx/weights.bin"])
    return folder


@pytest.fixture()
def photo_file(tmp_path: Path, photo: np.ndarray) -> Path:
    """A picture to restore."""
    Image.fromarray(photo[:SIDE, :SIDE]).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def ended(*args: object) -> tuple[int, str]:
    """Exit code of a command, and the last line that it says."""
    done = CliRunner().invoke(app, list(map(str, args)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, (done.stderr.splitlines() or [""])[-1]


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads((folder / "manifest.json").read_text())
    change(document)
    (folder / "manifest.json").write_text(json.dumps(document))


# --- what an artifact reads -----------------------------------------------------------------------------------


def test_listed_external_data_is_of_the_artifact(small: Path) -> None:
    bundle = open_bundle(small)
    (facts,) = bundle.manifest.artifacts
    assert bundle.files_of(facts) == ["fp32/onnx/model.onnx", "fp32/onnx/weights.bin"]
    opened = bundle.open_artifact(facts)
    assert opened.contents.external == {"weights.bin": np.array([2.0], np.float32).tobytes()}


@pytest.mark.parametrize("change", [lambda p: p.write_bytes(bytes(4)), lambda p: p.unlink(), Path.touch])
@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin", "more/weights.bin"])
def test_external_data_does_not_change_with_the_file(
    tmp_path: Path, location: str, change: Callable[[Path], Any]
) -> None:
    """ONNX Runtime would read it by its path, after it was checked."""
    from compress.artifacts.runtime.open import open_runner

    path = tmp_path / "fp32/onnx" / location
    write_onnx(tmp_path / "fp32/onnx/model.onnx", location)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(np.array([2.0], np.float32).tobytes())
    files = ["fp32/onnx/model.onnx", path.relative_to(tmp_path).as_posix()]
    write_manifest(tmp_path, {"artifacts": [artifact()]}, files)
    bundle = open_bundle(tmp_path)
    opened = bundle.open_artifact(bundle.manifest.artifacts[0])
    change(path)
    lq, noise = (np.ones(port["shape"], np.float32) for port in PORTS)
    assert np.array_equal(open_runner(opened.path, "onnx", 1, contents=opened.contents).run(lq, noise), 2 * lq)


@pytest.mark.parametrize(
    ("facts", "names", "copied"),
    [
        (
            {"id": "openvino-fp32-8x16", "entry": "a/model_8x16.xml"},
            ["a/model.xml", "a/model.bin", "a/model_8x16.xml"],
            {"a/model_8x16.xml": "a/model_8x16.xml", "a/model_8x16.bin": "a/model.bin"},
        ),
        (
            {"entry": "a/encode.xml", "stages": {stage: f"a/{stage}.xml" for stage in STAGES}},
            STAGED := [f"a/{stage}.{suffix}" for stage in STAGES for suffix in ("xml", "bin")],
            {name: name for name in STAGED},
        ),
    ],
)
def test_copies_of_an_ir_lie_beside_their_own_weights(
    facts: dict[str, Any], names: list[str], copied: dict[str, str], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"<{name}/>")
    write_manifest(tmp_path, {"artifacts": [artifact("openvino", **facts)]}, names)
    bundle = open_bundle(tmp_path)
    bundle.copy_artifact(bundle.manifest.artifacts[0], tmp_path / "copy")
    texts = {p.relative_to(tmp_path / "copy").as_posix(): p.read_text() for p in (tmp_path / "copy").rglob("*.*")}
    assert texts == {name: f"<{source}/>" for name, source in copied.items()}


def test_copies_are_what_the_manifest_says_or_nothing(small: Path, tmp_path: Path) -> None:
    bundle = open_bundle(small)
    (facts,) = bundle.manifest.artifacts
    entry = bundle.copy_artifact(facts, tmp_path / "copy")
    assert entry == tmp_path / "copy/fp32/onnx/model.onnx"
    for name in bundle.files_of(facts):
        assert (tmp_path / "copy" / name).read_bytes() == (small / name).read_bytes()
    for name in bundle.files_of(facts):
        whole = (small / name).read_bytes()
        (small / name).write_bytes(whole[:-1] + b"x")
        with pytest.raises(VerificationError, match="differs from its hash"):
            bundle.copy_artifact(facts, tmp_path / "other")
        (small / name).write_bytes(whole)


@pytest.mark.parametrize("location", ["./weights.bin", "more/weights.bin", "model.onnx"])
def test_weights_elsewhere_than_beside_the_model_are_not_copied(small: Path, location: str, tmp_path: Path) -> None:
    """``bench`` and ``package`` put what they copy into one folder, by its name."""
    write_onnx(small / "fp32/onnx/model.onnx", location)
    (small / "fp32/onnx/more").mkdir()
    shutil.copy(small / "fp32/onnx/weights.bin", small / "fp32/onnx/more")
    files = ["fp32/onnx/model.onnx", "fp32/onnx/weights.bin", "fp32/onnx/more/weights.bin"]
    write_manifest(small, {"artifacts": [artifact()]}, files)
    bundle = open_bundle(small)
    with pytest.raises(VerificationError, match=f"keeps weights in {location}, which is no other file beside it"):
        bundle.copy_artifact(bundle.manifest.artifacts[0], tmp_path / "copy")


def test_a_bench_measures_copies_and_its_errors_name_the_bundle(small: Path) -> None:
    from compress.pipeline.bench import copies

    bundle = open_bundle(small)
    chosen = {artifact_of(a.id, a.format, a.precision): a for a in bundle.manifest.artifacts}
    with pytest.raises(VerificationError) as caught, copies(bundle, chosen) as paths:
        (path,) = paths.values()
        assert not path.is_relative_to(small) and path.stat().st_uid == os.getuid()
        assert path.parents[2].stat().st_mode & 0o77 == 0, "nobody else changes what is measured"
        raise VerificationError(f"target x: {path}: refused")
    assert str(caught.value) == f"target x: {small}/fp32/onnx/model.onnx: refused" and not path.exists()


@pytest.mark.parametrize("data", [b"\xff" * 64, b"", b"\0" * 100, b"\x10\0\0\0ET12" + b"\xff" * 100, b"\x10\0\0\0ET12"])
def test_a_program_of_a_bundle_is_tried_elsewhere_first(tmp_path: Path, photo_file: Path, data: bytes) -> None:
    """Its hash says only that it is the stranger's: what is wrong in it can end the process that opens it."""
    bundle = tmp_path / "b"
    (bundle / "fp32/executorch").mkdir(parents=True)
    (bundle / "fp32/executorch/model.pte").write_bytes(data)
    shutil.copy(photo_file, bundle / "photo.png")
    sample = {"name": "photo", "degraded": "photo.png", "outputs": {"executorch-fp32": "photo.png"}}
    (bundle / "results.json").write_text(json.dumps({"schema_version": 1, "samples": [sample]}))
    files = ["fp32/executorch/model.pte", "photo.png", "results.json"]
    write_manifest(bundle, {"artifacts": [artifact("executorch")], "seeds": {"noise": 0}}, files)
    for command in (["verify", bundle], ["restore", bundle, photo_file, "-o", tmp_path / "out.png"]):
        code, line = ended(*command)
        assert code == 5 and "model.pte: refused, not a readable ExecuTorch program" in line


def test_external_data_that_was_altered_is_refused(small: Path, photo_file: Path) -> None:
    (small / "fp32/onnx/weights.bin").write_bytes(bytes(4))
    message = f"{small}/fp32/onnx/weights.bin: differs from its hash in the manifest"
    for source in (small, small / "fp32/onnx/model.onnx"):
        code, line = ended("restore", source, photo_file, "-o", small.parent / "out.png")
        assert code == 5 and line.startswith(message)
    assert not (small.parent / "out.png").exists()


@pytest.mark.parametrize("location", ["other.bin", "../../../other.bin", "/etc/hostname", "*/_ORT_MEM_ADDR_/*", ""])
def test_external_data_that_is_not_listed_is_refused(small: Path, location: str) -> None:
    write_onnx(small / "fp32/onnx/model.onnx", location)
    (small / "fp32/onnx/other.bin").write_bytes(bytes(4))
    write_manifest(small, {"artifacts": [artifact()]}, ["fp32/onnx/model.onnx", "fp32/onnx/weights.bin"])
    bundle = open_bundle(small)
    with pytest.raises(VerificationError, match=r"is not among its files: do not use it"):
        bundle.open_artifact(bundle.manifest.artifacts[0])


def test_what_is_no_onnx_model_is_refused(small: Path) -> None:
    (small / "fp32/onnx/model.onnx").write_text("ORTM, in a format that reads other files")
    write_manifest(small, {"artifacts": [artifact()]}, ["fp32/onnx/model.onnx"])
    bundle = open_bundle(small)
    with pytest.raises(VerificationError, match=r"model\.onnx: no ONNX model \(.*\): do not use it"):
        bundle.open_artifact(bundle.manifest.artifacts[0])


@pytest.fixture()
def openvino(tmp_path: Path) -> Path:
    """A bundle of one OpenVINO artifact, both its files listed."""
    import openvino as ov
    from openvino import opset13 as ops

    folder = tmp_path / "openvino"
    lq, noise = (ops.parameter(port["shape"], np.float32, name=port["name"]) for port in PORTS)
    for node, port in zip((lq, noise), PORTS, strict=True):
        node.output(0).tensor.set_names({port["name"]})
    path = folder / "fp32/openvino/model.xml"
    path.parent.mkdir(parents=True)
    ov.save_model(ov.Model([ops.multiply(lq, np.float32(2))], [lq, noise]), path)
    files = ["fp32/openvino/model.xml", "fp32/openvino/model.bin"]
    write_manifest(folder, {"artifacts": [artifact("openvino")]}, files)
    return folder


def test_weights_beside_an_ir_must_be_listed(openvino: Path, photo_file: Path) -> None:
    out = openvino.parent / "out.png"
    assert ended("restore", openvino, photo_file, "-o", out)[0] == 0
    edit(openvino, lambda m: m["files"].pop(0))
    message = f"{openvino}/manifest.json: fp32/openvino/model.bin is not among its files: do not use it"
    assert ended("restore", openvino, photo_file, "-o", out) == (5, message)


def test_a_link_in_place_of_weights_is_refused(openvino: Path) -> None:
    path = openvino / "fp32/openvino/model.bin"
    path.rename(openvino.parent / "elsewhere.bin")
    path.symlink_to(openvino.parent / "elsewhere.bin")
    edit(openvino, lambda m: m["files"].pop(0))
    bundle = open_bundle(openvino)
    with pytest.raises(VerificationError, match=r"model\.bin is not among its files"):
        bundle.open_artifact(bundle.manifest.artifacts[0])
    assert bundle.unlisted_files() == ["fp32/openvino/model.bin: not in the manifest"]


def test_another_format_under_the_name_of_an_ir_is_refused(openvino: Path) -> None:
    write_onnx(openvino / "fp32/openvino/model.xml")
    write_manifest(openvino, {"artifacts": [artifact("openvino")]}, ["fp32/openvino/model.xml"])
    bundle = open_bundle(openvino)
    with pytest.raises(VerificationError, match=r"model\.xml: no OpenVINO IR: do not use it"):
        bundle.open_artifact(bundle.manifest.artifacts[0])


# --- between check and use ------------------------------------------------------------------------------------


def test_what_is_handed_out_does_not_change_with_the_file(openvino: Path) -> None:
    from compress.artifacts.runtime.open import open_runner

    bundle = open_bundle(openvino)
    opened = bundle.open_artifact(bundle.manifest.artifacts[0])
    (openvino / "fp32/openvino/model.bin").write_bytes(bytes(4))
    lq, noise = (np.ones(port["shape"], np.float32) for port in PORTS)
    runner = open_runner(opened.path, "openvino", 1, contents=opened.contents)
    assert np.array_equal(runner.run(lq, noise), 2 * lq)


@pytest.mark.parametrize("change", [b"", b"2", bytes(4), bytes(5)])
def test_read_gives_the_listed_bytes_or_nothing(small: Path, change: bytes) -> None:
    bundle = open_bundle(small)
    assert bundle.read("fp32/onnx/weights.bin") == np.array([2.0], np.float32).tobytes()
    (small / "fp32/onnx/weights.bin").write_bytes(change)
    with pytest.raises(VerificationError, match=r"weights\.bin: differs from its hash in the manifest: do not use it"):
        bundle.read("fp32/onnx/weights.bin")


def test_a_pipe_is_not_waited_for(small: Path) -> None:
    bundle = open_bundle(small)
    (small / "fp32/onnx/weights.bin").unlink()
    os.mkfifo(small / "fp32/onnx/weights.bin")
    with pytest.raises(VerificationError, match=r"weights\.bin: cannot be read \(no plain file\)"):
        bundle.read("fp32/onnx/weights.bin")


# --- what lies there beside it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["README.md", "fp32/onnx/model.bin", "samples/x.png", ".hidden", "fp32/.stages/x", "new/x"]
)
def test_a_file_that_was_added_is_told(small: Path, name: str) -> None:
    (small / name).parent.mkdir(parents=True, exist_ok=True)
    (small / name).write_text("x")
    assert open_bundle(small).unlisted_files() == [f"{name}: not in the manifest"]
    assert ended("verify", small) == (5, f"{small}/{name}: not in the manifest")


def test_links_pipes_and_folders_of_others_are_told(small: Path) -> None:
    (small / "to_home").symlink_to(Path.home())
    (small / "to_file").symlink_to("/etc/hostname")
    os.mkfifo(small / "pipe")
    assert open_bundle(small).unlisted_files() == [
        "pipe: not in the manifest",
        "to_file: not in the manifest",
        "to_home: is a link to a folder",
    ]


def test_what_commands_keep_in_a_bundle_is_none_of_it(small: Path) -> None:
    for name in (".lock", ".compress.json", ".stages/x.json", "search/y", ".gitattributes", "manifest.json.sig"):
        (small / name).parent.mkdir(exist_ok=True)
        (small / name).write_text("x")
    assert open_bundle(small).unlisted_files() == []


# --- entries of any shape -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"artifacts": [artifact(), artifact()]}, "artifacts: Value error, onnx-fp32 is listed twice"),
        ({"artifacts": [artifact(inputs=[{}])]}, "artifacts.0.inputs.0.name: Field required"),
        (
            {"artifacts": [artifact(inputs=[{"name": "lq", "shape": [1, 3, -1, 2**40]}])]},
            "artifacts.0.inputs.0.shape.2",
        ),
        ({"artifacts": [artifact(inputs="lq")]}, "artifacts.0.inputs: Input should be a valid list"),
        ({"artifacts": [artifact(task=3)]}, "artifacts.0.task: Input should be a valid string"),
        ({"artifacts": [artifact(k_steps=10**30)]}, "does not fit in 64 bits"),
        ({"artifacts": [artifact(sigma_s="0.1")]}, "artifacts.0.sigma_s: Input should be a valid number"),
        ({"weights": {"sha256": "x"}}, "weights.sha256: String should match pattern"),
        ({"data": [1]}, "data: Input should be a valid dictionary"),
    ],
)
@pytest.mark.parametrize("command", ["restore", "demo", "verify", "sbom"])
def test_entries_of_another_shape_are_one_line(
    small: Path, photo_file: Path, change: dict[str, Any], message: str, command: str
) -> None:
    edit(small, lambda m: m.update(change))
    more = {"restore": [photo_file, "-o", small.parent / "out.png"], "sbom": ["-o", small.parent / "sbom.json"]}
    code, line = ended(command, small, *more.get(command, []))
    assert code == 5 and line.startswith(f"{small}/manifest.json: damaged manifest (") and message in line


@pytest.mark.parametrize(
    ("facts", "code", "message"),
    [
        (artifact(inputs=[]), 5, "damaged manifest (artifacts: onnx-fp32 has no input lq (1, 3, H, W), no output"),
        (artifact(inputs=[{"name": "lq", "shape": [64]}]), 5, "has no input lq (1, 3, H, W)"),
        (artifact(task=None), 2, "its task is not known"),
    ],
)
def test_a_demo_of_an_entry_that_lacks_something(small: Path, facts: dict[str, Any], code: int, message: str) -> None:
    write_onnx(small / "fp32/onnx/model.onnx")
    write_manifest(small, {"artifacts": [facts]}, ["fp32/onnx/model.onnx"])
    ended_with, line = ended("demo", small)
    assert ended_with == code and message in line


def test_a_demo_of_an_artifact_that_was_altered(small: Path) -> None:
    write_onnx(small / "fp32/onnx/model.onnx")
    code, line = ended("demo", small)
    assert (code, line.split(": ")[1]) == (5, "differs from its hash in the manifest")


@pytest.mark.parametrize("entry", ["fp32/onnx/model.ort", "fp32/onnx/model", "fp32/onnx/model.onnx/"])
def test_an_entry_of_another_suffix_is_refused(small: Path, entry: str) -> None:
    edit(small, lambda m: (m["artifacts"][0].update(entry=entry), m["files"][0].update(path=entry)))
    with pytest.raises(
        VerificationError, match=r"(must end in \.onnx \(onnx\)|points outside the bundle): do not use it"
    ):
        open_bundle(small)


@pytest.mark.parametrize("name", ["./a", "a//b", "a/./b", "a/"])
def test_a_path_has_one_spelling(small: Path, name: str) -> None:
    edit(small, lambda m: m["files"].append({"path": name, "bytes": 0, "sha256": "0" * 64}))
    with pytest.raises(VerificationError, match="points outside the bundle: do not use it"):
        open_bundle(small)
