"""Shared by the tests of training: a run on the smallest networks, in a folder of the test's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from compress.elir.model import Elir, ElirConfig
from compress.elir.train.fresh import fresh_model, teacher_model
from compress.elir.train.loop import Training
from compress.recipe.train import TrainRecipe


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Steps this small lose more by waiting for a second thread than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def batch(index: int, count: int, crop: int, share: slice) -> tuple[Tensor, Tensor]:
    clean = torch.rand(count, 3, crop, crop, generator=torch.Generator().manual_seed(index))[share]
    return clean.mean(1, keepdim=True).expand_as(clean).contiguous(), clean


@pytest.fixture(scope="session")
def autoencoder() -> dict[str, Tensor]:
    torch.manual_seed(5)
    state = Elir(ElirConfig(32, 1, 8, 1)).state_dict()
    return {name: value for name, value in state.items() if name.startswith(("enc.", "dec."))}


@pytest.fixture(scope="session")
def start_in(autoencoder: dict[str, Tensor]) -> Callable[..., Training]:
    """A run of a recipe in a folder."""

    def start(folder: Path, given: TrainRecipe, log: Callable = lambda r: None, **more: Any) -> Training:
        model = fresh_model(ElirConfig(32, 1, 8, 1), autoencoder, seed=0)
        return Training(given, model, teacher_model(autoencoder), batch, folder, log, **more)

    return start


@pytest.fixture()
def start(start_in: Callable[..., Training], tmp_path: Path) -> Callable[..., Training]:
    """A run of a recipe in a folder of the test's, by name."""

    def start(given: TrainRecipe, folder: str = "run", log: Callable = lambda r: None, **more: Any) -> Training:
        return start_in(tmp_path / folder, given, log, **more)

    return start
