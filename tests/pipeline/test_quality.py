"""Quality entries: against ground truth, and against the fp32 artifact of the same runtime."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compress.artifacts.artifact import Artifact
from compress.artifacts.runtime.base import Runner
from compress.artifacts.runtime.open import open_runner
from compress.data.pictures import read_rgb, to_uint8
from compress.data.sets import load_set
from compress.elir.noise import picture_inputs
from compress.measure.niqe import niqe
from compress.measure.quality import psnr_db
from compress.pipeline.quality import ArtifactOutputs, format_quality, input_baseline, sample_files, write_samples
from compress.pipeline.shapes import ShapeGroup
from compress.progress import Progress
from compress.recipe.schema import Recipe
from compress.targets.bench import sample_pictures

Make = Callable[..., Recipe]
FP32, INT8 = Artifact("onnx", "fp32"), Artifact("onnx", "int8")


@pytest.fixture()
def pictures(tiny_recipe: Make) -> Any:
    return load_set(tiny_recipe().data.validation[0], "sr_x4", (64, 64))


def test_drops_are_against_the_fp32_artifact(finished: Any, tiny_recipe: Make, pictures: Any) -> None:
    actual = format_quality(
        ArtifactOutputs(finished.folder, 0), [FP32, INT8], pictures, tiny_recipe(), Progress("silent")
    )
    fp32, int8 = actual
    assert [(e.artifact, e.dataset, e.n) for e in actual] == [
        ("onnx-fp32", "validation", 2),
        ("onnx-int8", "validation", 2),
    ]
    assert int8.psnr_drop_db == pytest.approx(fp32.psnr_db - int8.psnr_db, abs=2e-5)
    assert int8.ssim_drop == pytest.approx(fp32.ssim - int8.ssim, abs=2e-5)
    assert int8.lpips_rise == pytest.approx(int8.lpips - fp32.lpips, abs=2e-5)
    assert int8.fidelity_db > 30 and fp32.fidelity_db is None
    assert actual == [e for e in finished.result.document.quality if e.artifact in ("onnx-fp32", "onnx-int8")]


def test_without_fp32_there_is_nothing_to_compare_with(finished: Any, tiny_recipe: Make, pictures: Any) -> None:
    (int8,) = format_quality(ArtifactOutputs(finished.folder, 0), [INT8], pictures, tiny_recipe(), Progress("silent"))
    assert int8.psnr_db > 5
    assert {
        getattr(int8, k) for k in ("psnr_drop_db", "ssim_drop", "lpips_rise", "fidelity_db", "color_shift_vs_fp32")
    } == {None}


def test_the_baseline_is_the_input_itself(tiny_recipe: Make, pictures: Any) -> None:
    (entry,) = input_baseline([pictures], tiny_recipe())
    by_hand = np.mean([psnr_db(item.degraded, item.clean) for item in pictures])
    assert (entry.name, entry.n, entry.psnr_db) == ("bicubic", 2, pytest.approx(by_hand, abs=1e-4))


def test_samples_are_what_the_artifacts_gave(finished: Any, tiny_recipe: Make, pictures: Any, tmp_path: Path) -> None:
    (tmp_path / "fp32").symlink_to(finished.folder / "fp32")
    samples = write_samples(ArtifactOutputs(tmp_path, 0), ShapeGroup("", [FP32], [pictures]), Progress("silent"))
    assert [s.index for s in samples] == [0, 1]
    for sample, item in zip(samples, pictures, strict=True):
        for kind in ("degraded", "clean"):
            assert np.array_equal(np.asarray(Image.open(tmp_path / getattr(sample, kind))), getattr(item, kind))
        runner = open_runner(tmp_path / FP32.entry, "onnx", 1)
        wanted = to_uint8(runner.run(*picture_inputs(item.degraded, 0, sample.index))[0]).astype(int)
        assert abs(np.asarray(Image.open(tmp_path / sample.outputs["onnx-fp32"])).astype(int) - wanted).max() <= 1


def test_a_picture_that_is_asked_for_again_is_not_run_again(
    finished: Any, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    run = Runner.run

    def counted(self: Runner, lq: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        ran.append(self.__class__.__name__)
        return run(self, lq, noise)

    monkeypatch.setattr(Runner, "run", counted)
    outputs = ArtifactOutputs(finished.folder, 0, {0})
    items = list(pictures)
    first = outputs.of(INT8, items[0], 0)
    outputs.close()
    assert outputs.of(INT8, items[0], 0) is first and len(ran) == 1
    assert np.array_equal(outputs.of(INT8, items[1], 1), outputs.of(INT8, items[1], 1)) and len(ran) == 3


@pytest.fixture()
def without_truth(tiny_inputs: Path, tmp_path: Path) -> Any:
    """The validation pictures as they are, given as low ones alone."""
    path = tmp_path / "alone.yaml"
    low = tiny_inputs / "validation"
    path.write_text(f"version: 1\nname: alone\npairs: {{low: {low}, enlarged: true}}\n")
    return load_set(str(path), "sr_x4", (64, 64))


def test_without_truth_the_artifact_is_held_against_fp32_alone(
    finished: Any, tiny_recipe: Make, without_truth: Any
) -> None:
    fp32, int8 = format_quality(
        ArtifactOutputs(finished.folder, 0), [FP32, INT8], without_truth, tiny_recipe(), Progress("silent")
    )
    missing = ("psnr_db", "psnr_y_db", "ssim", "lpips", "color_shift", "psnr_drop_db", "ssim_drop", "lpips_rise")
    assert [getattr(int8, name) for name in missing] == [None] * len(missing)
    assert int8.fidelity_db > 30 and int8.n == 2 and fp32.fidelity_db is None
    assert int8.note.startswith("no true pictures: ")
    assert [p.fidelity_db > 30 and p.psnr_db is None for p in int8.pictures] == [True, True]


def test_without_truth_a_large_enough_picture_has_a_niqe(photo: np.ndarray, tiny_recipe: Make, tmp_path: Path) -> None:
    for name, picture in (("a", photo), ("b", photo[:64, :64])):
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "p.png")
        (tmp_path / f"{name}.yaml").write_text(f"version: 1\nname: {name}\npairs: {{low: {name}, enlarged: true}}\n")
    large, small = (load_set(str(tmp_path / f"{n}.yaml"), "sr_x4", (s, s)) for n, s in (("a", 256), ("b", 64)))
    actual = input_baseline([large, small], tiny_recipe())
    assert [entry.niqe for entry in actual] == [pytest.approx(niqe(photo, 4), abs=1e-5), None]
    assert [entry.psnr_db for entry in actual] == [None, None]


def test_without_truth_samples_have_none(finished: Any, without_truth: Any, tmp_path: Path) -> None:
    (tmp_path / "fp32").symlink_to(finished.folder / "fp32")
    group = ShapeGroup("", [FP32], [without_truth])
    samples = write_samples(ArtifactOutputs(tmp_path, 0), group, Progress("silent"))
    assert [sample.clean for sample in samples] == [None, None]
    assert len(sample_files(samples)) == len(list((tmp_path / "samples").iterdir())) == 4
    read = {path: read_rgb(tmp_path / path) for path in sample_files(samples)}
    assert set(sample_pictures(read.__getitem__, samples, 0)) == {"lq", "noise", "output-onnx-fp32"}
