"""A run's models: the reference stays what was loaded, the rest is the student's, trained or finished."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compress.artifacts.artifact import Artifact
from compress.elir.checkpoint import load_checkpoint, save_checkpoint
from compress.elir.flow import FoldedFlow
from compress.elir.model import Elir, ElirConfig
from compress.pipeline.context import RunContext
from compress.pipeline.inputs import student_facts
from compress.pipeline.models import Models
from compress.progress import Progress
from compress.recipe.schema import Recipe

Make = Callable[..., Recipe]
FP32, FP16 = Artifact("openvino", "fp32"), Artifact("openvino", "fp16")


@pytest.fixture()
def recipe(tiny_recipe: Make, photo: np.ndarray, tmp_path: Path) -> Recipe:
    (tmp_path / "train").mkdir()
    Image.fromarray(photo).save(tmp_path / "train" / "photo.png")
    stage = {"steps": 1, "batch": 1, "crop": 64, "weights": {"l1": 1.0}}
    distill = {
        **{"encoder_scale": 4, "encoder_blocks": [1, 1], "residual": True, "stages": [stage]},
        **{"data": [str(tmp_path / "train")], "student": str(tmp_path / "finished.safetensors")},
    }
    return tiny_recipe(passes=[{"collapse": {}}, {"distill": distill}, {"fold_time": {}}, {"ptq": {}}])


def models(recipe: Recipe, out: Path, **options: bool) -> Models:
    return Models(RunContext(recipe, out, Progress("silent"), **options))


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_a_student_beside_its_reference(recipe: Recipe, tmp_path: Path) -> None:
    run = models(recipe, tmp_path / "out")
    loaded = load_checkpoint(recipe.model.weights)
    assert run.subject.model.config.residual and run.subject.model.config.enc_scale == 4
    assert isinstance(run.reference.fmir, FoldedFlow) and run.reference.config.enc_scale == 1
    assert equal(run.reference.enc, loaded.enc) and equal(run.reference.dec, loaded.dec)
    assert run.float_model(FP32) is run.reference and run.float_model(FP16) is run.subject.model
    again = models(recipe, tmp_path / "out")
    assert equal(again.subject.model, run.subject.model)
    finished = load_checkpoint(tmp_path / "out/distill/student.safetensors")
    assert equal(finished.enc, run.subject.model.enc)
    (tmp_path / "out/distill/student.safetensors").rename(tmp_path / "finished.safetensors")
    reused = models(recipe, tmp_path / "other", reuse=True)
    assert equal(reused.subject.model, run.subject.model)


def test_fresh_forgets_the_training(recipe: Recipe, tmp_path: Path) -> None:
    left = tmp_path / "out/distill/checkpoint.pt"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"damaged")
    assert models(recipe, tmp_path / "out", resume=False).subject.model.config.residual


def test_a_finished_student_needs_no_pictures(recipe: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(1)
    student = Elir(ElirConfig(hid_channels=8, c_hid=8, n_rrdb=1, k_steps=1))
    facts = student_facts(recipe, Path(recipe.model.weights))
    save_checkpoint(student, tmp_path / "finished.safetensors", facts, torch.float32)
    (tmp_path / "train/photo.png").unlink()
    run = models(recipe, tmp_path / "out", reuse=True)
    assert equal(run.subject.model.dec, student.dec)
    assert run.reference.config.hid_channels == 32
    assert "prune, distill: the finished student finished.safetensors" in run.subject.notes


def test_without_a_student_the_reference_is_the_model(tiny_recipe: Make, tmp_path: Path) -> None:
    run = models(tiny_recipe(), tmp_path / "out")
    assert run.reference is run.subject.model is run.float_model(FP32)


FULL = """
import resource, signal, sys, types
from pathlib import Path
import torch
from compress.errors import InputError
from compress.pipeline.models import Models
from compress.pipeline.cache import Stages
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
stages = Stages(Path(sys.argv[1]), {}, resume=True)
context = types.SimpleNamespace(shared=None, inputs=types.SimpleNamespace(key={"recipe": {"model": {}}}))
run = types.SimpleNamespace(context=context, _begun=[])
try:
    Models._keep(run, stages, "calibration", lambda: {"a": torch.zeros(10_000)})
except InputError as error:
    print(error)
"""


def test_a_full_disk_while_tensors_are_kept_is_an_input_error(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout == (
        f"{tmp_path}/.stages/calibration.safetensors: cannot be written (File too large): "
        "raise ulimit -f, or choose another disk\n"
    ), done.stderr
    assert not list(tmp_path.rglob("*.safetensors"))
