"""What a restorer is opened from, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.artifacts.runtime.base import Runner
from compress.artifacts.runtime.open import open_runner
from compress.bundle.manifest import write_manifest
from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir
from compress.elir.tiles import Tiling
from compress.errors import InputError, VerificationError
from compress.restore.open import STREAMS_FROM, Settings, ShapesRestorer, choose, default_overlap, open_restorer


def entry(format: str, precision: str, **more: object) -> dict:
    suffix = {"openvino": "xml", "onnx": "onnx", "executorch": "pte"}[format]
    path = f"{precision}/{format}/model.{suffix}"
    return {"id": f"{format}-{precision}", "format": format, "precision": precision, "entry": path, **more}


def write_bundle(folder: Path, *artifacts: dict) -> Path:
    """A bundle of ``artifacts``; files that are not there yet hold nothing."""
    folder.mkdir(exist_ok=True)
    for artifact in artifacts:
        (folder / artifact["entry"]).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / artifact["entry"]).exists():
            (folder / artifact["entry"]).write_text("<net/>" if artifact["format"] == "openvino" else "")
    files = [p.relative_to(folder).as_posix() for p in folder.rglob("model.*")]
    write_manifest(folder, {"artifacts": artifacts}, files)
    return folder


def write_ir(path: Path, side: int = 64) -> None:
    """An OpenVINO IR with an artifact's inputs that darkens the picture by half."""
    import openvino as ov
    from openvino import opset13 as ops

    lq = ops.parameter([1, 3, side, side], np.float32, name="lq")
    noise = ops.parameter([1, 16, side // 8, side // 8], np.float32, name="noise")
    for node, name in ((lq, "lq"), (noise, "noise")):
        node.output(0).tensor.set_names({name})
    path.parent.mkdir(parents=True)
    ov.save_model(ov.Model([ops.multiply(lq, np.float32(0.5))], [lq, noise]), path)


@pytest.fixture()
def bundle(tmp_path: Path) -> Path:
    write_ir(tmp_path / "bundle/int8/openvino/model.xml")
    return write_bundle(tmp_path / "bundle", entry("onnx", "fp32"), entry("openvino", "int8", task="sr_x2"))


@given(
    st.lists(st.tuples(st.integers(2, 20), st.integers(2, 20)), min_size=1, max_size=4, unique=True),
    st.integers(1, 900),
    st.integers(1, 900),
)
def test_the_shape_that_computes_least_is_taken(sides: list[tuple[int, int]], height: int, width: int) -> None:
    tilings = [Tiling(1, (32 * h, 32 * w), default_overlap((32 * h, 32 * w)), fixed=True) for h, w in sides]
    restorer = ShapesRestorer(None, tilings[0], lambda picture, on_tile: picture, tilings=tuple(tilings))
    taken = restorer.tiling_of(height, width).computed(height, width)
    assert taken == min(tiling.computed(height, width) for tiling in tilings) >= height * width
    assert restorer.tiles(height, width) * np.prod(restorer.tiling_of(height, width).tile) == taken
    # Where one tile covers the picture, no more than the smallest such tile is computed.
    covering = [32 * h * 32 * w for h, w in sides if 32 * h >= height and 32 * w >= width]
    assert not covering or taken <= min(covering)


def test_int8_openvino_is_preferred(tmp_path: Path) -> None:
    kinds = [("onnx", "int8"), ("openvino", "fp32"), ("openvino", "int8"), ("executorch", "int8")]
    folder = write_bundle(tmp_path, *(entry(*kind) for kind in kinds))
    assert [facts.entry for facts in choose(folder)[1]] == ["int8/openvino/model.xml"]
    _, (chosen,) = choose(write_bundle(tmp_path, entry("openvino", "fp32"), entry("onnx", "int8")))
    assert chosen.format == "onnx"


@pytest.mark.parametrize(("overlap", "advised"), [(32, True), (8, False)])
def test_tiles_that_mostly_overlap_are_advised_against(overlap: int, advised: bool, bundle: Path) -> None:
    """A file of 64 px cut a picture of 1024 px into 961 tiles, without a word on why."""
    advice = open_restorer(str(bundle), Settings(overlap=overlap)).advice
    assert ("take files of a larger model.image_size (256 is usual), or a smaller overlap" in advice) == advised


def test_a_bundle_restores_at_its_tasks_scale(bundle: Path, photo: np.ndarray) -> None:
    restorer = open_restorer(str(bundle), Settings(overlap=32))
    assert (restorer.scale, restorer.steps(40, 50)) == (2, 6)
    messages: list[int] = []
    out = restorer.restore(photo[:40, :50], lambda: messages.append(1))
    assert out.shape == (80, 100, 3)
    assert len(messages) == 6
    assert abs(out.mean() - photo[:40, :50].mean() / 2) < 1


def test_an_artifact_inside_a_bundle_knows_its_task(bundle: Path) -> None:
    assert open_restorer(str(bundle / "int8/openvino/model.xml"), Settings()).scale == 2


def test_steps_of_a_checkpoint(tiny_elir: Elir, tmp_path: Path, photo: np.ndarray) -> None:
    save_checkpoint(tiny_elir, tmp_path / "tiny.safetensors", {"task": "sr_x4"})
    restorer = open_restorer(str(tmp_path / "tiny.safetensors"), Settings(tile=64, overlap=32, scale=1))
    messages: list[int] = []
    restorer.restore(photo[:32, :96], lambda: messages.append(1))
    assert len(messages) == restorer.steps(32, 96) == 5


def test_k_steps_reach_the_model(tiny_elir: Elir, tmp_path: Path, photo: np.ndarray) -> None:
    save_checkpoint(tiny_elir, tmp_path / "tiny.safetensors", {"task": "sr_x4"})
    one, three = (
        open_restorer(str(tmp_path / "tiny.safetensors"), Settings(scale=1, k_steps=k)).restore(
            photo[:32, :32], lambda: None
        )
        for k in (1, 3)
    )
    assert not np.array_equal(one, three)


def test_a_scale_that_nothing_tells(bundle: Path, tiny_elir: Elir, tmp_path: Path) -> None:
    (bundle / "manifest.json").unlink()
    with pytest.raises(
        InputError,
        match=r"model\.xml: does not say what it is for: give task \(--task: sr_x2, .*\), or scale \(--scale; 1: pict",
    ):
        open_restorer(str(bundle / "int8/openvino/model.xml"), Settings())
    save_checkpoint(tiny_elir, tmp_path / "tiny.safetensors", {"task": "sharpen"})
    with pytest.raises(InputError, match=r"tiny\.safetensors: does not say what it is for"):
        open_restorer(str(tmp_path / "tiny.safetensors"), Settings())


def test_an_artifacts_own_settings_are_fixed(bundle: Path) -> None:
    with pytest.raises(InputError, match=r"tile \(=256\) differs from the artifact's 64 x 64 px: leave it out"):
        open_restorer(str(bundle), Settings(tile=256))
    with pytest.raises(InputError, match="K and sigma_s are fixed inside an artifact: leave k_steps and sigma_s out"):
        open_restorer(str(bundle), Settings(k_steps=5))


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a bundle, it has no manifest\.json: give the folder"):
        open_restorer(str(tmp_path), Settings())


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"artifacts": 3}', '{"artifacts": ["a"]}'])
def test_a_damaged_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(VerificationError, match=r"manifest\.json: damaged manifest \(.*\): write the bundle again"):
        choose(tmp_path)


@pytest.mark.parametrize("path", ["../model.xml", "/etc/model.xml"])
def test_an_entry_outside_the_bundle(tmp_path: Path, path: str) -> None:
    folder = write_bundle(tmp_path / "bundle", entry("openvino", "int8"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["artifacts"][0]["entry"] = path
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(VerificationError, match=rf"manifest.json: {path} points outside the bundle: do not use it"):
        choose(folder)


@pytest.mark.parametrize("source", ["", "int8/openvino/model.xml"])
def test_an_artifact_that_was_altered_after_its_manifest(bundle: Path, source: str) -> None:
    path = bundle / "int8/openvino/model.bin"
    path.write_bytes(path.read_bytes() + b"x")
    wanted = rf"{bundle}/int8/openvino/model\.bin: differs from its hash in the manifest: do not use it"
    with pytest.raises(VerificationError, match=wanted):
        open_restorer(str(bundle / source), Settings(overlap=32))


def test_an_unknown_name() -> None:
    with pytest.raises(InputError, match=r"'elir_sr_x5': unknown weights file, did you mean elir_sr_x4\?"):
        open_restorer("elir_sr_x5", Settings())


def test_a_checkpoint_with_more_steps_than_a_built_in_student_names_it() -> None:
    slow, fast = (open_restorer(name, Settings()) for name in ("elir_sr_x4", "elir_sr_x4_fast"))
    assert slow.advice == "the built-in elir_sr_x4_fast is for the same task and takes 1 Euler step instead of 3"
    assert fast.advice == ""


@pytest.mark.parametrize("entry", ["fp32/openvino/model.xml", "int8/openvino/model.xml", "int8/onnx/model.onnx"])
def test_many_tiles_are_computed_at_once_to_the_same_picture(
    entry: str, finished: Any, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[int] = []

    def load(*given: Any, streams: int, **more: Any) -> Runner:
        loads.append(streams)
        return open_runner(*given, streams=streams, **more)

    monkeypatch.setattr("compress.restore.open.physical_cores", lambda: 2)
    monkeypatch.setattr("compress.restore.open.open_runner", load)
    restorer, picture = open_restorer(str(finished.folder / entry), Settings(overlap=32)), photo[:50, :60]
    assert restorer.tiles(50, 60) >= STREAMS_FROM > restorer.tiles(40, 40)
    restorer.restore(photo[:40, :40], lambda: None)
    assert loads == [1], "few tiles: as it was opened"
    at_once = restorer.restore(picture, lambda: None)
    restorer.restore(photo[:40, :40], lambda: None)
    assert loads == [1, 2]
    monkeypatch.setattr("compress.restore.open.streams_of", lambda *_: 1)
    one_by_one = open_restorer(str(finished.folder / entry), Settings(overlap=32)).restore(picture, lambda: None)
    assert np.abs(at_once.astype(int) - one_by_one).max() <= 1
    assert one_by_one.std() > 1
