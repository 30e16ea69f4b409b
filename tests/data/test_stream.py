"""A stream's pool follows from seed, order and step, through `datasets` streaming, over local parquet and pictures."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pillow

from compress.data.sets import pixels_sha256
from compress.data.stream import PictureStream
from compress.errors import InputError
from compress.recipe.train import StreamSource

ROWS = 30


def picture(i: int, side: int = 64) -> np.ndarray:
    """Its value is its number."""
    return np.full((side, side, 3), i, np.uint8)


@pytest.fixture()
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StreamSource:
    """Two parquet files of 15 rows: row 7 is small, row 11 no picture."""
    # `datasets` waits 5 s for pyarrow's threads after each pass over a parquet file.
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0, raising=False)
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(ROWS):
        Pillow.fromarray(picture(i, 32 if i == 7 else 64)).save(tmp_path / f"{i}.png")
    (tmp_path / "11.png").write_bytes(b"no picture")
    files = [{"bytes": (tmp_path / f"{i}.png").read_bytes(), "path": None} for i in range(ROWS)]
    features = Features({"photo": Image(), "label": Value("int64")})
    for part in range(2):
        chosen = range(15 * part, 15 * part + 15)
        rows = Dataset.from_dict({"photo": [files[i] for i in chosen], "label": list(chosen)}, features=features)
        rows.to_parquet(str(folder / f"train-{part}.parquet"))
    return StreamSource(name=str(folder), column="photo", pool=6)


def stream(
    source: StreamSource, seed: int = 0, held_back: frozenset[str] = frozenset(), **changes: int
) -> PictureStream:
    return PictureStream(source.model_copy(update=changes), seed, 64, held_back)


def numbers(pictures: list[np.ndarray]) -> list[int]:
    return [int(p[0, 0, 0]) for p in pictures]


def test_every_row_comes_once_a_round(source: StreamSource) -> None:
    given = stream(source, pool=5, renew=5)
    rounds = [[n for step in range(start, start + 6) for n in numbers(given.pool(0, step))] for start in (0, 6)]
    assert [sorted(r) for r in rounds] == [sorted(set(range(ROWS)) - {7, 11})] * 2
    assert rounds[0] != rounds[1]
    assert rounds[0] != sorted(rounds[0])
    assert given.census.in_words.startswith("56 read; 4 skipped (")


@pytest.mark.parametrize(("order", "step"), [(0, 0), (0, 13), (0, 40), (1, 5)])
def test_a_pool_is_the_same_wherever_one_comes_from(source: StreamSource, order: int, step: int) -> None:
    wanted = numbers(stream(source).pool(order, step))
    went_on = stream(source)
    for earlier in range(step):
        went_on.pool(order, earlier)
    came_back = stream(source)
    came_back.pool(order, step + 9)
    came_back.pool(order + 1, 0)
    assert numbers(went_on.pool(order, step)) == numbers(came_back.pool(order, step)) == wanted


def test_the_next_step_has_new_rows_and_drops_the_oldest(source: StreamSource) -> None:
    given = stream(source, renew=2, pool=6)
    pools = [numbers(given.pool(0, step)) for step in range(3)]
    usable = [len(pool) for pool in pools]
    assert max(usable) == 6
    assert pools[2][: usable[2] - 4] == [n for n in pools[0] if n in pools[2]]


def test_seed_and_order_shuffle(source: StreamSource) -> None:
    pools = [numbers(stream(source, seed, pool=20).pool(order, 0)) for seed, order in ((0, 0), (1, 0), (0, 1))]
    assert len({tuple(pool) for pool in pools}) == 3


def test_count_limits_the_rows(source: StreamSource) -> None:
    assert set(numbers(stream(source, count=4, pool=12).pool(0, 0))) == {0, 1, 2, 3}


def test_validation_pictures_are_left_out(source: StreamSource) -> None:
    held_back = frozenset({pixels_sha256(picture(2))})
    given = stream(source, 0, held_back, count=4, pool=4)
    assert sorted(numbers(given.pool(0, 0))) == [0, 1, 3]
    assert "1 skipped (1 of the validation set: row " in given.census.in_words


def test_of_a_large_picture_a_window_is_kept(tmp_path: Path, photo: np.ndarray) -> None:
    Pillow.fromarray(photo).save(tmp_path / "large.png")
    given = [PictureStream(StreamSource(name=str(tmp_path), pool=3), 0, 64, frozenset()).pool(0, 0) for _ in range(2)]
    assert [p.shape for p in given[0]] == [(128, 128, 3)] * 3
    assert all(p.base is None for p in given[0])  # a view would hold the whole picture
    assert not np.array_equal(given[0][0], given[0][1])
    assert all(np.array_equal(a, b) for a, b in zip(*given, strict=True))


def test_no_row_can_be_used(source: StreamSource) -> None:
    given = PictureStream(source, 0, 96, frozenset())
    text = r"set\[train\]: no picture of 96 px or more a side in rows 0 to 6: use another set, a larger pool or smaller"
    with pytest.raises(InputError, match=text):
        given.pool(0, 0)
