"""Artifacts that hold their noise: every runtime picks the very window that the seed says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.artifacts.artifact import Artifact
from compress.artifacts.export.around import Around
from compress.artifacts.export.to_executorch import save_executorch, to_executorch
from compress.artifacts.runtime.base import Runner
from compress.artifacts.runtime.open import open_runner
from compress.artifacts.writer import Writer
from compress.elir.noise_torus import COLUMNS, MOST_SEED, ROWS, noise_torus, noise_window
from compress.errors import InputError
from compress.recipe.schema import Format, Recipe

SIZE = (64, 96)
SEED = 5
LQ = np.zeros((1, 3, *SIZE), np.float32)


class Echo(nn.Module):
    """Gives every sample of its noise, n / 8 + 0.5: exactly, and in [0, 1]."""

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        return lq + (nn.functional.pixel_shuffle(noise, 4) / 8 + 0.5).repeat(1, 3, 2, 2)


def echoed(noise: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return Echo()(torch.from_numpy(LQ), torch.from_numpy(noise)).numpy()


@pytest.fixture(scope="module", params=["openvino", "onnx", "executorch"])
def runner(
    request: pytest.FixtureRequest, tiny_recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runner]:
    format: Format = request.param
    artifact, folder = Artifact(format, "fp32"), tmp_path_factory.mktemp(format)
    path = folder / artifact.entry
    if format == "executorch":
        save_executorch(to_executorch(Echo(), SIZE, around=Around(torus=noise_torus(SEED))), path)
    else:
        model = {"weights": "none", "seed": SEED, "image_size": list(SIZE)}
        Writer(tiny_recipe(model=model, export={format: {}, "noise": "seed"}), folder).write_float(Echo(), artifact)
    return open_runner(path, format, 1)


def test_every_runtime_picks_the_same_window(runner: Runner) -> None:
    """At both ends of the permitted range, where rows or columns wrap round, and anywhere."""
    assert runner.shapes == {"lq": (1, 3, *SIZE), "seed": (1,)} and runner.takes_seed
    drawn = np.random.default_rng(0).integers(0, MOST_SEED, 200)
    for seed in (
        0,
        1,
        ROWS - 1,
        ROWS,
        COLUMNS - 1,
        COLUMNS,
        ROWS * COLUMNS,
        MOST_SEED - 1,
        MOST_SEED,
        *map(int, drawn),
    ):
        wanted = echoed(noise_window(noise_torus(SEED), seed, SIZE))
        assert np.array_equal(runner.run(LQ, np.array([seed])), wanted), seed


def test_what_is_no_seed(runner: Runner) -> None:
    for seed in (-1, MOST_SEED + 1, 2**40):
        with pytest.raises(InputError, match=rf"seed \(={seed}\) must be in \[0, 16777215\]"):
            runner.run(LQ, np.array([seed]))
    for odd in (np.array([1.0]), np.array([1, 2]), np.array([1], np.int32), np.zeros((1, 16, 4, 8), np.float32)):
        with pytest.raises(InputError, match=r"artifact takes lq \(1, 3, 64, 96\) and seed \(1,\) int64, got lq"):
            runner.run(LQ, odd)


def test_the_file_says_what_it_takes(runner: Runner) -> None:
    if "executorch" in runner.facts:  # in a file beside it, which the writer writes
        return
    assert runner.about["noise"] == "seed"
    assert runner.about["input"].endswith("; seed (1,) int64 in [0, 16777215], of the noise inside")


def test_it_takes_a_quarter_of_a_megabyte(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    artifact, sizes = Artifact("onnx", "fp32"), []
    for noise in ("input", "seed"):
        Writer(tiny_recipe(export={"onnx": {}, "noise": noise}), tmp_path).write_float(Echo(), artifact)
        sizes.append((tmp_path / artifact.entry).stat().st_size)
    assert 260_000 < sizes[1] - sizes[0] < 264_000
