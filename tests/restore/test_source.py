"""One object for a model, an artifact and a bundle: it restores, measures and times as the commands do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compress
from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir
from compress.errors import CompressError, InputError
from compress.progress import Progress
from compress.restore.open import Settings, open_restorer

SILENT = Progress("silent")


@pytest.fixture()
def checkpoint(tiny_elir: Elir, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(tiny_elir, path, {"task": "sr_x2"})
    return path


def test_a_checkpoint_restores_as_the_command_does(checkpoint: Path, photo: np.ndarray) -> None:
    model = compress.open(checkpoint, tile=64, overlap=32, seed=3)
    small = photo[:32, :48]
    wanted = open_restorer(str(checkpoint), Settings(64, 32, 3)).restore(small, lambda: None)
    assert (model.task, model.scale) == ("sr_x2", 2)
    assert np.array_equal(model.restore(small), wanted)


def test_floating_point_comes_back_as_floating_point(checkpoint: Path, photo: np.ndarray) -> None:
    model = compress.open(checkpoint)
    small = photo[:32, :32]
    restored = model.restore(small / 255)
    assert restored.dtype == np.float32
    assert np.array_equal((restored * 255).round().astype(np.uint8), model.restore(small))


def test_settings_are_the_commands(checkpoint: Path, photo: np.ndarray) -> None:
    assert compress.open(checkpoint, scale=1).restore(photo[:32, :32]).shape == (32, 32, 3)
    with pytest.raises(InputError, match="is for sr_x2, not denoise"):
        compress.open(checkpoint, task="denoise")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("seed", value) for value in (-1, 1.5, "x")),
        *(("scale", value) for value in (0, -1, 10**6, "x", True)),  # 10^6: a picture of 2 x 2 px would take terabytes
        *((name, "x") for name in ("tile", "overlap", "k_steps", "sigma_s")),
        *(("task", value) for value in (["denoise"], {}, 5)),
    ],
)
def test_settings_that_are_no_numbers_or_out_of_range(checkpoint: Path, setting: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{setting} \(="):
        compress.open(checkpoint, **{setting: value})


@pytest.mark.parametrize("name", ["x\0.onnx", "\ud800.onnx", "\0"])
def test_what_can_be_no_file_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(InputError, match="no name that a file can have"):
        compress.open(name)


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 3000, f"{'x' * 300}.onnx", f"{'x' * 300}.pth", "CIRCLE/x.xml"])
def test_a_path_that_the_system_refuses_is_one_of_our_errors(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path, bundle: Path
) -> None:
    """As the command line tells it, whose guard does not stand around Python code."""
    monkeypatch.chdir(tmp_path)
    Path("CIRCLE").symlink_to("CIRCLE")
    for use in (
        lambda: compress.open(name),
        lambda: compress.apply(name if "/" in name else f"./{name}", dry_run=True),
        lambda: compress.open(checkpoint, task="sr_x2").evaluate(f"./{name}"),
        lambda: compress.open(bundle).bench(f"./{name}"),
    ):
        with pytest.raises(CompressError) as error:
            use()
        assert str(error.value).isprintable() and "lies in no bundle" not in str(error.value)


@pytest.mark.parametrize("given", [5, None, ["x"], "x\0"])
def test_what_is_no_path_or_text_is_refused_in_a_line(
    given: Any, checkpoint: Path, bundle: Path, tmp_path: Path
) -> None:
    uses = [
        lambda: compress.open(given),
        lambda: compress.open(checkpoint).evaluate(given),
        lambda: compress.open(bundle).bench(given),
        lambda: compress.apply("int8_sr", tmp_path, targets=[given], dry_run=True),
        lambda: compress.apply("int8_sr", tmp_path, overrides=[given], dry_run=True),
        lambda: compress.apply("int8_sr", tmp_path, overrides=given, dry_run=True),
        lambda: compress.open(checkpoint).evaluate("photos_validation", metrics=[given]),
    ]
    if given is not None:
        uses += [lambda: compress.apply("int8_sr", given, dry_run=True)]
    if not isinstance(given, str):
        uses += [lambda: compress.apply(given, tmp_path, dry_run=True)]
    for use in uses:
        with pytest.raises(CompressError) as error:
            use()
        assert str(error.value).isprintable() and "lies in no bundle" not in str(error.value)


def test_a_path_needs_no_separator(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``Path`` never means a built-in name."""
    monkeypatch.chdir(checkpoint.parent)
    with pytest.raises(InputError, match=r"^./elir_sr_x4: no such bundle \(looked for .*`compress ls models`"):
        compress.open(Path("elir_sr_x4"))
    Path("pictures").mkdir()
    with pytest.raises(InputError, match="no pictures in this folder"):
        compress.open("tiny.safetensors").evaluate(Path("pictures"), progress=SILENT)
    with pytest.raises(InputError, match="give a set or a folder"):
        compress.open("tiny.safetensors").evaluate()


def test_evaluate_is_the_command(finished: Any, tiny_inputs: Path) -> None:
    model = compress.open(finished.folder / "fp32/onnx/model.onnx")
    result = model.evaluate(tiny_inputs / "validation", progress=SILENT)
    assert (result.task, result.results[0].scores["model"].n) == ("sr_x4", 2)
    assert len(repr(result)) < 300 and "validation, n = 2: PSNR " in repr(result)


def test_bench_is_the_command(bundle: Path) -> None:
    result = compress.open(bundle / "fp32/onnx/model.onnx").bench("x86-onnxruntime", progress=SILENT)
    assert [entry.artifact for entry in result.performance] == ["onnx-fp32"]
    latency = result.performance[0].latency_ms
    assert latency is not None and latency.p50 is not None and latency.p50 > 0
    assert f"onnx-fp32 {latency.p50:.3g} ms on x86-onnxruntime" in repr(result)


def test_what_cannot_be_timed_is_told_what_to_do(checkpoint: Path, bundle: Path) -> None:
    with pytest.raises(InputError, match=r"lies in no bundle.*`compress profile`"):
        compress.open(checkpoint).bench()
    with pytest.raises(InputError, match="onnx-fp32 is no openvino artifact"):
        compress.open(bundle / "fp32/onnx/model.onnx").bench("x86-openvino", progress=SILENT)
    with pytest.raises(InputError, match="names no target"):
        compress.open(bundle).bench(progress=SILENT)


def test_results_are_short_to_look_at(finished: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    assert repr(finished.result) == f"<ApplyResult {finished.folder}, exit code 0: sr_x4, 5 artifacts, no goals>"
    assert str(finished.result.document) == "<Results tiny: sr_x4, 5 artifacts, no goals>"
    planned = compress.apply(tiny_recipe(), tmp_path / "new", dry_run=True)
    assert repr(planned) == f"<Plan of tiny in {tmp_path / 'new'}: 5 artifacts>"
    assert repr(compress.open(finished.folder)) == f"<Source {finished.folder}: sr_x4, enlarges 4 times>"
