"""What is said before a restoration begins, and while it runs."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.elir.tiles import Tiling
from compress.progress import Progress
from compress.restore.forecast import TRIAL_FROM, Forecast
from compress.restore.open import Restorer, ShapesRestorer


@dataclass(frozen=True)
class Counted(Restorer):
    """A restorer that takes ``count`` tiles, whatever the picture."""

    count: int = 3

    def tiles(self, height: int, width: int) -> int:
        return self.count


def restorer(calls: list[tuple[int, ...]], tiles: int = 3) -> Restorer:
    """One that enlarges by repeating pixels, and notes the shapes that it was given."""

    def restore(picture: np.ndarray, on_tile: object) -> np.ndarray:
        calls.append(picture.shape)
        return picture.repeat(2, 0).repeat(2, 1)

    return Counted("sr_x2", Tiling(2, (64, 96)), restore, count=tiles)


@pytest.fixture()
def jobs(tmp_path: Path) -> list[tuple[Path, Path]]:
    for name, size in (("a.png", (1000, 500)), ("b.png", (500, 200))):
        Image.new("RGB", size).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return [(picture, tmp_path / "out" / picture.name) for picture in sorted(tmp_path.iterdir())]


def said(work: Forecast, by: Restorer) -> list[str]:
    stream = io.StringIO()
    work.say(by, Progress("lines", stream))
    return stream.getvalue().splitlines()


def test_little_work_is_counted_not_timed(jobs: list[tuple[Path, Path]]) -> None:
    calls: list[tuple[int, ...]] = []
    by = restorer(calls)
    work = Forecast.of(by, jobs, frames=False)
    assert work == Forecast(pictures=2, pixels=600_000, scale=2, tiles=6)
    assert said(work, by) == ["restoring 2 pictures: 0.6 megapixels, 2.4 after enlarging x2; 6 tiles"]
    assert calls == []


def test_of_several_sizes_it_says_which_are_taken(jobs: list[tuple[Path, Path]]) -> None:
    one = restorer([])
    tilings = tuple(replace(one.tiling, tile=tile, overlap=16) for tile in ((64, 64), (128, 256)))
    by = ShapesRestorer(one.task, one.tiling, one.restore, tilings=tilings)
    (line,) = (line for line in said(Forecast.of(by, jobs, frames=False), by) if line.startswith("tiles of "))
    assert line.endswith("of the bundle's sizes (64, 128x256), the fewest pixels to compute")
    taken = [by.tiling_of(height, width).tile for width, height in ((1000, 500), (500, 200))]
    assert all(f"{'64' if tile == (64, 64) else '128x256'} px for {taken.count(tile)} pict" in line for tile in taken)
    assert not any(line.startswith("tiles of ") for line in said(Forecast.of(one, jobs, frames=False), one))


def test_much_work_is_timed_on_one_tile(jobs: list[tuple[Path, Path]]) -> None:
    calls: list[tuple[int, ...]] = []
    by = restorer(calls, tiles=TRIAL_FROM)
    lines = said(Forecast.of(by, jobs[:1], frames=False), by)
    assert lines[0] == f"restoring 1 picture: 0.5 megapixels, 2.0 after enlarging x2; {TRIAL_FROM} tiles"
    assert lines[1].startswith("expected time: about ") and lines[1].endswith(" s per tile)")
    assert calls == [(32, 48, 3)] * 2, "a picture of one tile, the first time to warm up"


def test_long_work_names_what_is_faster(jobs: list[tuple[Path, Path]]) -> None:
    for tiles, named in ((TRIAL_FROM, ["faster: the student"]), (TRIAL_FROM // 4, [])):
        by = replace(restorer([], tiles), advice="the student")
        lines = said(Forecast.of(by, jobs[:1], frames=False), by)
        assert [line for line in lines if "faster" in line] == named


def test_every_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (24, 16), (grey, 0, 0)) for grey in (1, 90, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    by = restorer([])
    jobs = [(tmp_path / "a.gif", tmp_path / "a.png")]
    assert Forecast.of(by, jobs, frames=True) == Forecast(3, 3 * 24 * 16, 2, 9)
    assert Forecast.of(by, jobs, frames=False).pictures == 1


def test_what_the_format_cannot_hold_is_no_work(tmp_path: Path) -> None:
    Image.new("RGB", (9000, 2)).save(tmp_path / "wide.png")
    assert Forecast.of(restorer([]), [(tmp_path / "wide.png", tmp_path / "x.webp")], frames=False).tiles == 0
