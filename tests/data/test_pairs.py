"""Given pairs: matched by name, sizes checked, small ones enlarged as the task says."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.data.degradations import enlarge, shrink
from compress.data.pairs import PairedPictures
from compress.errors import InputError
from compress.recipe.task import Task


@pytest.fixture()
def pairs(tmp_path: Path, photo: np.ndarray) -> Path:
    """low/ and high/ with a.png and deep/b.*: 128 x 160 px, the low ones four times smaller."""
    for i, name in enumerate(("a", "deep/b")):
        high = Image.fromarray(np.roll(photo, 50 * i, axis=1)[:160, :128])
        for folder, picture, suffix in (("high", high, "png"), ("low", shrink(high, 4), "png" if i == 0 else "tiff")):
            path = tmp_path / folder / f"{name}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    return tmp_path


def opened(pairs: Path, task: Task = "sr_x4", count: int | None = None, high: bool = True) -> PairedPictures:
    return PairedPictures(pairs / "low", pairs / "high" if high else None, count, task)


def pixels(image: Image.Image | None) -> np.ndarray:
    assert image is not None
    return np.asarray(image)


@pytest.mark.parametrize(("task", "by"), [("sr_x4", "bicubic"), ("blind_sr_x4", "bicubic")])
def test_a_small_picture_is_enlarged_onto_the_grid_of_its_partner(pairs: Path, task: Task, by: str) -> None:
    result = list(opened(pairs, task))
    assert [(p.name, Path(p.origin).name) for p in result] == [("a", "a.png"), ("deep_b", "b.tiff")]
    for picture, name in zip(result, ("a", "deep/b"), strict=True):
        high = Image.open(pairs / f"high/{name}.png")
        assert (pixels(picture.clean) == np.asarray(high)).all()
        assert (pixels(picture.low) == np.asarray(enlarge(shrink(high, 4), 4, by))).all()


def test_the_published_sr_enlarges_by_nearest_exact(pairs: Path) -> None:
    for name in ("a.png", "deep/b.tiff"):
        Image.open(pairs / "low" / name).resize((16, 20)).save(pairs / "low" / name)
    low = pixels(next(iter(opened(pairs, "sr_x8_published"))).low)
    assert low.shape == (160, 128, 3) and (low[::8, ::8] == low[7::8, 7::8]).all()


def test_a_picture_of_the_partners_size_stays(pairs: Path) -> None:
    for name in ("a.png", "deep/b.tiff"):
        Image.open(pairs / "low" / name).resize((128, 160)).save(pairs / "low" / name)
    for task in ("sr_x4", "denoise"):
        low = pixels(next(iter(opened(pairs, task))).low)  # type: ignore[arg-type]
        assert (low == np.asarray(Image.open(pairs / "low/a.png"))).all()


def test_low_alone_is_enlarged_unless_it_is_said_to_be(pairs: Path) -> None:
    small = list(opened(pairs, high=False))
    assert [(p.clean, pixels(p.low).shape) for p in small] == [(None, (160, 128, 3))] * 2
    as_they_are = PairedPictures(pairs / "low", None, None, "sr_x4", enlarged=True)
    assert pixels(next(iter(as_they_are)).low).shape == (40, 32, 3)
    assert pixels(next(iter(opened(pairs, "denoise", high=False))).low).shape == (40, 32, 3)


def test_count_takes_pairs_spread_evenly(pairs: Path) -> None:
    assert [p.name for p in opened(pairs, count=1)] == ["a"] and len(opened(pairs)) == 2
    with pytest.raises(InputError, match="low: has 2 pictures, count asks for 3: add pictures or lower count"):
        opened(pairs, count=3)


def _without(path: str) -> Callable[[Path], None]:
    return lambda pairs: (pairs / path).unlink()


def _copied(source: str, target: str, size: tuple[int, int] | None = None) -> Callable[[Path], None]:
    def copy(pairs: Path) -> None:
        picture = Image.open(pairs / source)
        (picture.resize(size) if size else picture).save(pairs / target)

    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _without("high/deep/b.png"),
            "low: 1 of 2 pictures have no high one of the same name in HERE/high (deep/b.tiff): add those, or take "
            "these out",
        ),
        (_without("low/a.png"), "high: 1 of 2 pictures have no low one of the same name in HERE/low (a.png): add"),
        (
            _copied("high/a.png", "high/a.webp"),
            "high/a.png and a.webp: two pictures of one name, a pair is matched by it: rename or remove one",
        ),
        (
            _copied("low/a.png", "low/a.png", (64, 80)),
            "low/a.png: 64 x 80 px, but HERE/high/a.png has 128 x 160: it must be of the same size, or 4 times "
            "smaller, as sr_x4 enlarges: crop or replace one",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(pairs: Path, change: Callable[[Path], None], message: str) -> None:
    change(pairs)
    with pytest.raises(InputError, match=re.escape(f"{pairs}/{message.replace('HERE', str(pairs))}")) as caught:
        list(opened(pairs))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_without_enlargement_sizes_are_equal(pairs: Path) -> None:
    with pytest.raises(InputError, match=r"has 128 x 160: it must be of the same size: crop or replace one$"):
        list(opened(pairs, "denoise"))


def test_two_folders_are_needed(pairs: Path) -> None:
    with pytest.raises(
        InputError, match=r"low: is both pairs\.low and pairs\.high: give two folders, or leave high out"
    ):
        PairedPictures(pairs / "low", pairs / "high/../low", None, "sr_x4")
    with pytest.raises(InputError, match="nowhere: no such folder of pictures: check the path"):
        PairedPictures(pairs / "low", pairs / "nowhere", None, "sr_x4")
    (pairs / "empty").mkdir()
    with pytest.raises(InputError, match="empty: has no pictures: add some or name another folder"):
        PairedPictures(pairs / "empty", None, None, "sr_x4")
