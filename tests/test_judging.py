"""Shards: whichever way a set is cut, and whoever measures it, the figures are the same to the last digit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir
from compress.errors import InputError
from compress.evaluation import evaluate
from compress.judging import picture_list
from compress.progress import Progress

SILENT = Progress("silent")


@pytest.fixture()
def model(tiny_elir: Elir, tmp_path: Path) -> str:
    save_checkpoint(tiny_elir, tmp_path / "tiny.safetensors", {"task": "sr_x4"})
    return str(tmp_path / "tiny.safetensors")


@pytest.fixture()
def pictures(photo: np.ndarray, tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(photo[40 * i : 40 * i + 64, : 64 + 8 * i]).save(folder / f"{i}.png")
    return folder


def test_shards_give_the_same_digits(model: str, pictures: Path) -> None:
    whole = evaluate(model, [str(pictures)], 0, SILENT)
    for shards in (2, 3, 9):
        assert evaluate(model, [str(pictures)], 0, SILENT, shards=shards) == whole


def test_every_picture_is_in_one_shard(pictures: Path) -> None:
    listed = picture_list(str(pictures), "sr_x4")
    names = [name for name, _, _ in listed.read()]
    assert (listed.count, names) == (5, [f"{i}.png" for i in range(5)])
    parts = [[name for name, _, _ in listed.read(i, 2)] for i in range(2)]
    assert parts == [names[::2], names[1::2]]
    crops = picture_list("photos_validation", "sr_x4")
    assert [name for name, _, _ in crops.read(1, 12)] == [name for name, _, _ in crops.read()][1::12]


def test_a_measure_of_whole_sets_has_no_shards(model: str, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compress import judging
    from compress.measure.iqa import IqaMeasure

    fid = IqaMeasure("fid", None)
    monkeypatch.setattr(judging, "_asked_for", lambda metrics: [fid] if metrics else [])
    with pytest.raises(InputError, match=r"^--metric fid: compares whole sets, not pictures: leave --shards out"):
        evaluate(model, [str(pictures)], 0, SILENT, metrics=["fid"], shards=2)
