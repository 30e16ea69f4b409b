"""Graphs that take and give pictures of 8 bits: what the model gives for what Pillow enlarges.

ExecuTorch's programs are lowered once for all tests: tests/pipeline/test_run.py.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from compress.artifacts.artifact import Artifact
from compress.artifacts.export.enlargement import Enlargement
from compress.artifacts.export.pictures import PictureModel
from compress.artifacts.runtime.base import Runner
from compress.artifacts.runtime.open import open_runner
from compress.artifacts.writer import Writer
from compress.data.degradations import enlarge
from compress.data.pictures import to_float, to_uint8
from compress.elir.model import Elir, noise_shape
from compress.errors import InputError
from compress.recipe.schema import Format, Precision, Recipe

SIZE, SCALE = 64, 4
NOISE = torch.randn(noise_shape(SIZE, SIZE), generator=torch.Generator().manual_seed(3)).numpy()


@pytest.fixture(scope="session")
def image(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(1, 16, 16, 3): text-sharp edges, whose overshoots are clipped, beside a photograph."""
    picture = photo[:16, :16].copy()
    picture[4:12, 4:8] = [[[0, 255, 0], [255, 0, 255], [0, 255, 0], [255, 255, 255]]]
    return picture[None]


def written(folder: Path, recipe: Recipe, model: Elir, format: Format, precision: Precision) -> Runner:
    artifact = Artifact(format, precision)
    Writer(recipe, folder).write_float(model, artifact)
    return open_runner(folder / artifact.entry, format, 1)


@pytest.fixture(scope="session")
def wanted(folded_once: Elir, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What torch gives for the picture as Pillow enlarges it, rounded half up."""
    enlarged = np.asarray(enlarge(Image.fromarray(image[0]), SCALE))
    with torch.no_grad():
        return to_uint8(folded_once(torch.from_numpy(to_float([enlarged])), torch.from_numpy(NOISE))[0].numpy())


@pytest.mark.parametrize(
    ("format", "precision"),
    [("openvino", "fp32"), ("openvino", "fp16"), ("onnx", "fp32"), ("onnx", "fp16")],
)
def test_bytes_are_those_of_the_model_behind_pillow(
    format: Format,
    precision: Precision,
    folded_once: Elir,
    tiny_recipe: Callable[..., Recipe],
    image: NDArray[np.uint8],
    wanted: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(export={format: {"precisions": [precision]}, "io": "uint8"})
    runner = written(tmp_path, recipe, folded_once, format, precision)
    away = np.abs(runner.restore(image, NOISE)[0].astype(int) - wanted)
    assert runner.scale == SCALE and runner.tile == (SIZE, SIZE)
    # Of a step of 1/255, what lies next to it may round to its other side.
    assert away.max() <= 1 and (away > 0).mean() < (1e-3 if precision == "fp32" else 0.05)
    assert runner.about["io"] == "uint8" and "enlarged inside (bicubic" in runner.about["input"]


class _Nothing(torch.nn.Module):
    def forward(self, lq: torch.Tensor) -> torch.Tensor:
        return lq


@settings(max_examples=25)
@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([2, 4, 8]), st.integers(0, 2**32 - 1))
def test_rectangles_are_enlarged_as_pillow_does(rows: int, columns: int, scale: int, seed: int) -> None:
    shape = (32 * rows, 32 * columns)
    small = np.random.default_rng(seed).integers(256, size=(shape[0] // scale, shape[1] // scale, 3), dtype=np.uint8)
    model = PictureModel(_Nothing(), shape, Enlargement(scale, "bicubic"))
    actual = model(torch.from_numpy(small[None]))[0].numpy()
    assert (actual == np.asarray(enlarge(Image.fromarray(small), scale))).all()


@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_a_rectangle_of_bytes(
    format: Format,
    folded_once: Elir,
    tiny_recipe: Callable[..., Recipe],
    photo: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(model={"weights": "x", "image_size": [64, 96]}, export={format: {}, "io": "uint8"})
    runner = written(tmp_path, recipe, folded_once, format, "fp32")
    noise = torch.randn(noise_shape(64, 96), generator=torch.Generator().manual_seed(3))
    enlarged = np.asarray(enlarge(Image.fromarray(photo[:16, :24]), SCALE))
    with torch.no_grad():
        wanted = to_uint8(folded_once(torch.from_numpy(to_float([enlarged])), noise)[0].numpy())
    actual = runner.restore(photo[None, :16, :24], noise.numpy())[0]
    assert runner.shapes["image"] == (1, 16, 24, 3) and runner.tile == (64, 96)
    assert np.abs(actual.astype(int) - wanted).max() <= 1


def test_a_task_that_does_not_enlarge(
    folded_once: Elir, tiny_recipe: Callable[..., Recipe], photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        model={"task": "denoise", "weights": "x", "image_size": SIZE},
        export={"onnx": {}, "io": "uint8", "noise": "baked"},
    )
    runner = written(tmp_path, recipe, folded_once, "onnx", "fp32")
    with torch.no_grad():
        noise = torch.randn(noise_shape(SIZE, SIZE), generator=torch.Generator().manual_seed(0))
        wanted = to_uint8(folded_once(torch.from_numpy(to_float([photo[:SIZE, :SIZE]])), noise)[0].numpy())
    result = runner.restore(photo[None, :SIZE, :SIZE], None)[0]
    assert runner.shapes == {"image": (1, SIZE, SIZE, 3)} and runner.scale == 1
    assert np.abs(result.astype(int) - wanted).max() <= 1


def test_what_it_does_not_take(
    folded_once: Elir, tiny_recipe: Callable[..., Recipe], image: NDArray[np.uint8], tmp_path: Path
) -> None:
    runner = written(tmp_path, tiny_recipe(export={"onnx": {}, "io": "uint8"}), folded_once, "onnx", "fp32")
    takes = r"artifact takes image \(1, 16, 16, 3\) uint8 and noise \(1, 16, 8, 8\), got image "
    for wrong, message in (
        (image.astype(np.float32), r"\(1, 16, 16, 3\) float32"),
        (image[..., :1], r"\(1, 16, 16, 1\) uint8"),
        (image[:, :8], r"\(1, 8, 16, 3\) uint8"),
    ):
        with pytest.raises(InputError, match=takes + message):
            runner.restore(wrong, NOISE)
    with pytest.raises(InputError, match=r"got lq \(1, 3, 64, 64\) and noise"):
        runner.run(np.zeros((1, 3, SIZE, SIZE), np.float32), NOISE)


def test_the_files_constants_stay_small(folded_once: Elir, tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    sizes = {}
    for io in ("float", "uint8"):
        written(tmp_path / io, tiny_recipe(export={"onnx": {}, "io": io}), folded_once, "onnx", "fp32")
        sizes[io] = (tmp_path / io / "fp32/onnx/model.onnx").stat().st_size
    weights = 2 * 2 * SIZE * SIZE // SCALE
    assert weights < sizes["uint8"] - sizes["float"] < weights + 4000


def test_float_files_do_not_change(tiny_recipe: Callable[..., Recipe]) -> None:
    """What is asked for by default is not part of a recipe's hash, which every artifact holds."""
    assert "io" not in json.loads(tiny_recipe().model_dump_json())["export"]
    assert json.loads(tiny_recipe(export={"onnx": {}, "io": "uint8"}).model_dump_json())["export"]["io"] == "uint8"
