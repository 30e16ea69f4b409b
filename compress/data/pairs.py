"""Pictures in pairs: low-quality ones as they are, and the true ones where there are any."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from compress.data.degradations import enlarge
from compress.data.folders import scan
from compress.data.names import distinct_names
from compress.data.pictures import open_rgb
from compress.data.sources import NamedPicture, Pictures, Read, evenly
from compress.errors import InputError
from compress.files import real_path
from compress.recipe.task import Task, task_enlargement, task_scale

NAMED = 3  # pictures that an error names


@dataclass(frozen=True)
class _Pair:
    low: Path
    high: Path | None


class PairedPictures(Pictures):
    """``count`` pictures of the folder ``low``, spread evenly over its sorted paths (all where it is None), each with
    the one of ``high`` that has the same path below its folder, whatever its suffix.

    Both are given on the output grid: a low picture that is the task's scale smaller is enlarged as the task says.
    Where there is no ``high``, all of a super-resolution task's are, unless they are ``enlarged`` already.
    Raises InputError when a folder is missing or has too few pictures, when a picture has no partner or more than one;
    on iteration, when a picture cannot be read or the sizes of a pair do not fit.
    """

    def __init__(self, low: Path, high: Path | None, count: int | None, task: Task, *, enlarged: bool = False) -> None:
        if high is not None and real_path(low) == real_path(high):
            raise InputError(f"{low}: is both pairs.low and pairs.high: give two folders, or leave high out")
        self._task, self._enlarged = task, enlarged
        self.notes: list[str] = []
        lows = self._by_name(low)
        highs = {} if high is None else self._by_name(high)
        if high is not None:
            _refuse_alone(lows, highs, low, high, "high")
            _refuse_alone(highs, lows, high, low, "low")
        if count is not None and len(lows) < count:
            raise InputError(f"{low}: has {len(lows)} pictures, count asks for {count}: add pictures or lower count")
        keys = evenly(sorted(lows), count)
        names = distinct_names([lows[key].relative_to(low) for key in keys])
        self._pairs = {name: _Pair(lows[key], highs.get(key)) for name, key in zip(names, keys, strict=True)}

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def longest_name(self) -> str:
        """The name that takes most room in a file system."""
        return max(self._pairs, key=lambda name: len(name.encode()))

    def reads(self) -> Iterator[Read]:
        return (partial(self._read, name, pair) for name, pair in self._pairs.items())

    def _read(self, name: str, pair: _Pair) -> NamedPicture:
        low = open_rgb(pair.low)
        if pair.high is None:
            return NamedPicture(name, str(pair.low), None, low if self._enlarged else self._on_grid(low))
        high = open_rgb(pair.high)
        return NamedPicture(name, str(pair.low), high, self._fitted(pair, low, high))

    def _by_name(self, folder: Path) -> dict[str, Path]:
        listing = scan(folder)
        if not listing.pictures:
            others = f" ({listing.left_out} left out)" if listing.others else ""
            raise InputError(f"{folder}: has no pictures{others}: add some or name another folder")
        self.notes += listing.words(folder)
        paths: dict[str, Path] = {}
        for path in listing.pictures:
            twin = paths.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
            if twin != path:
                raise InputError(
                    f"{twin} and {path.name}: two pictures of one name, a pair is matched by it: rename or remove one"
                )
        return paths

    def _on_grid(self, low: Image.Image) -> Image.Image:
        return enlarge(low, task_scale(self._task), task_enlargement(self._task))

    def _fitted(self, pair: _Pair, low: Image.Image, high: Image.Image) -> Image.Image:
        scale = task_scale(self._task)
        if low.size == high.size:
            return low
        if (low.width * scale, low.height * scale) == high.size:
            return self._on_grid(low)
        smaller = f", or {scale} times smaller, as {self._task} enlarges" if scale > 1 else ""
        raise InputError(
            f"{pair.low}: {low.width} x {low.height} px, but {pair.high} has {high.width} x {high.height}: it must be "
            f"of the same size{smaller}: crop or replace one"
        )


def _refuse_alone(these: dict[str, Path], those: dict[str, Path], folder: Path, other: Path, missing: str) -> None:
    alone = sorted(these.keys() - those.keys())
    if alone:
        named = ", ".join(these[key].relative_to(folder).as_posix() for key in alone[:NAMED])
        more = ", ..." if len(alone) > NAMED else ""
        raise InputError(
            f"{folder}: {len(alone)} of {len(these)} pictures have no {missing} one of the same name in {other} "
            f"({named}{more}): add those, or take these out"
        )
