"""Training crops follow the seed and the batch's number alone."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compress.data.crops import TrainingPictures
from compress.data.pictures import to_float
from compress.data.stream import PictureStream
from compress.errors import InputError
from compress.recipe.degradation import SuperResolution
from compress.recipe.train import StreamSource

STEPS = [SuperResolution(scale=4)]


@pytest.fixture()
def folder(tmp_path: Path, photo: np.ndarray) -> Path:
    for name, side in (("a/one.png", 256), ("a/two.png", 96), ("b/three.png", 128), ("small.png", 40)):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[:side, :side]).save(path)
    return tmp_path / "pictures"


@pytest.fixture()
def pictures(folder: Path) -> TrainingPictures:
    return TrainingPictures([folder], STEPS, seed=3, min_side=64)


def test_batch_depends_on_seed_and_number_alone(folder: Path, pictures: TrainingPictures) -> None:
    wanted = pictures.batch(5, 4, 64)
    pictures.batch(1, 2, 32)
    np.random.seed(1)
    again = TrainingPictures([folder], STEPS, seed=3, min_side=64).batch(5, 4, 64)
    assert all(torch.equal(a, b) for a, b in zip(wanted, again, strict=True))
    assert not torch.equal(wanted[1], pictures.batch(6, 4, 64)[1])
    assert not torch.equal(wanted[1], TrainingPictures([folder], STEPS, seed=4, min_side=64).batch(5, 4, 64)[1])


def test_batch_is_degraded_and_clean_on_one_grid(pictures: TrainingPictures) -> None:
    degraded, clean = pictures.batch(0, 8, 64)
    assert degraded.shape == clean.shape == (8, 3, 64, 64)
    assert degraded.dtype == torch.float32 and clean.min() >= 0 and clean.max() <= 1
    error = (degraded - clean).abs().mean()
    assert 0 < error < 0.1
    # The degraded crop is a blur of the clean one: their 16 px means agree.
    means = [torch.nn.functional.avg_pool2d(x, 16) for x in (degraded, clean)]
    assert (means[0] - means[1]).abs().mean() < error / 3


def test_crops_are_turned_flipped_and_halved(tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo[:64, :64]).save(tmp_path / "x.png")
    pictures = TrainingPictures([tmp_path], [], seed=0, min_side=32)
    whole = torch.from_numpy(to_float([photo[:64, :64]]))[0]
    half = whole.reshape(3, 32, 2, 32, 2).mean((2, 4))
    turned = [torch.rot90(x, k, (1, 2)) for x in (half, half.flip(2)) for k in range(4)]
    seen = set()
    for crop in pictures.batch(0, 64, 32)[1]:
        near = [i for i, t in enumerate(turned) if (crop - t).abs().max() <= 0.51 / 255]
        seen.add(near[0] if near else "cut")
    assert seen == {*range(8), "cut"}


def test_batch_without_steps_is_the_clean_crop(folder: Path) -> None:
    degraded, clean = TrainingPictures([folder], [], seed=0, min_side=64).batch(0, 2, 64)
    assert torch.equal(degraded, clean)


def test_small_pictures_are_left_out_and_the_rest_described(pictures: TrainingPictures) -> None:
    assert len(pictures.pictures) == 3
    assert [path.name for path in pictures.paths] == ["one.png", "two.png", "three.png"]
    assert pictures.description == "3 pictures of 64 px or more a side: a 2, b 1; 1 skipped"
    assert pictures.report == ["training pictures: 3 read; 1 skipped (1 under 64 px: small.png)"]


def test_large_pictures_are_drawn_more_often(pictures: TrainingPictures) -> None:
    assert pictures.chance.tolist() == pytest.approx([256 / 480, 96 / 480, 128 / 480])


def test_no_picture_large_enough(folder: Path) -> None:
    text = f"{folder}: no picture of 512 px or more a side (4 under 512 px, first: one.png): add some"
    with pytest.raises(InputError, match=re.escape(text)):
        TrainingPictures([folder], STEPS, seed=0, min_side=512)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder of pictures"):
        TrainingPictures([tmp_path / "none"], STEPS, seed=0, min_side=64)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: no picture of 64 px or more a side: add some")):
        TrainingPictures([tmp_path], STEPS, seed=0, min_side=64)


def test_unreadable_picture_is_skipped_and_leaves_the_others_as_they_were(folder: Path) -> None:
    wanted = TrainingPictures([folder], STEPS, seed=0, min_side=64).batch(0, 2, 64)
    (folder / "a" / "broken.png").write_bytes(b"")
    pictures = TrainingPictures([folder], STEPS, seed=0, min_side=64)
    assert "2 skipped (1 unreadable: broken.png, 1 under" in pictures.report[0]
    assert all(torch.equal(a, b) for a, b in zip(wanted, pictures.batch(0, 2, 64), strict=True))


# --- streams --------------------------------------------------------------------------------------------------


@pytest.fixture()
def stream(tmp_path: Path) -> Callable[[], PictureStream]:
    """Makes one over 12 grey pictures, 4 at a time; a picture's value is 10 times its number."""
    for i in range(12):
        path = tmp_path / "set" / "train" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((64, 64, 3), 10 * i, np.uint8)).save(path)
    source = StreamSource(name=str(tmp_path / "set"), pool=4)
    return lambda: PictureStream(source, 3, 64, frozenset())


def values(pictures: TrainingPictures, index: int) -> set[int]:
    """Numbers of the pictures that a large batch was drawn from."""
    clean = pictures.batch(index, 64, 64)[1]
    return {round(float(crop.mean() * 255)) // 10 for crop in clean if crop.std() < 1e-3}


def test_stream_alone_gives_the_same_batches_after_a_restart(stream: Callable[[], PictureStream]) -> None:
    undisturbed = TrainingPictures([], STEPS, 3, 64, [stream()], stride=100)
    wanted = [undisturbed.batch(index, 4, 64) for index in (0, 1, 2, 20, 100, 103)]
    for start in (0, 2, 4):
        resumed = TrainingPictures([], STEPS, 3, 64, [stream()], stride=100)
        for index, batch in list(zip((0, 1, 2, 20, 100, 103), wanted, strict=True))[start:]:
            assert all(torch.equal(a, b) for a, b in zip(batch, resumed.batch(index, 4, 64), strict=True))


def test_stream_is_drawn_from_a_pool_that_moves(stream: Callable[[], PictureStream]) -> None:
    pictures = TrainingPictures([], STEPS, 3, 64, [stream()], stride=100)
    seen = [values(pictures, index) for index in range(9)]
    assert {len(pool) for pool in seen} == {4}
    assert all(len(a - b) == 1 for a, b in pairwise(seen))
    assert set().union(*seen) == set(range(12))
    assert values(pictures, 100) != seen[0]


def test_stream_beside_a_folder(folder: Path, stream: Callable[[], PictureStream]) -> None:
    pictures = TrainingPictures([folder], STEPS, 3, 64, [stream()], stride=100)
    drawn = pictures.batch(0, 64, 64)[1]
    grey = sum(float(crop.std()) < 1e-3 for crop in drawn)
    assert 10 < grey < 40  # 4 * 64 of 4 * 64 + 256 + 96 + 128
    name = pictures.streams[0].name
    assert pictures.description.endswith(f"a 2, b 1; 1 skipped; {name} streamed, 4 rows at a time")
    assert pictures.report[1] == f"training pictures of {name}, first 4 rows: 4 read"


def test_crop_larger_than_what_pictures_were_kept_by(pictures: TrainingPictures) -> None:
    with pytest.raises(ValueError, match=r"crop \(=96\) must be at most min_side \(=64\)"):
        pictures.batch(0, 1, 96)
