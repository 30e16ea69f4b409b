"""Where pictures come from: a folder, or the Hugging Face hub. Both are read one picture at a time."""

import io
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from PIL import Image

from compress.data.folders import scan
from compress.data.names import distinct_names
from compress.data.pictures import open_rgb, read_rgb
from compress.errors import InputError
from compress.files import open_plain, real_path
from compress.hub import is_offline
from compress.recipe.calibration_set import HubSource
from compress.recipe.image_size import Shape, size_text
from compress.recipe.train import StreamSource
from compress.text import one_line

MOST_BYTES = 2**29
"""Largest size in bytes of a row's picture that is stored in a file."""

Row: TypeAlias = dict[str, Any]
"""A row of a hub data set, its columns by name: whatever the set holds."""


class NamedPicture(NamedTuple):
    """``name``: unique in the set, fit for a file; ``origin``: for messages; RGB pictures of one size, of which one is
    there: ``clean``, and the input ``low`` where it is given.
    """

    name: str
    origin: str
    clean: Image.Image | None
    low: Image.Image | None = None


Read: TypeAlias = Callable[[], NamedPicture]
T = TypeVar("T")


class Pictures(Protocol):
    """A known number of pictures, read again at every iteration."""

    notes: list[str]
    """What was left out of them."""

    def __len__(self) -> int: ...

    @property
    def longest_name(self) -> str: ...

    def reads(self) -> "Iterator[Read]":
        """What reads each picture, and raises InputError for one that cannot be read."""

    def __iter__(self) -> Iterator[NamedPicture]:
        return (read() for read in self.reads())


def evenly(items: Sequence[T], count: int | None) -> list[T]:
    """``count`` of ``items``, which are as many or more, spread evenly; all of them where it is None."""
    return list(items) if count is None else [items[i * len(items) // count] for i in range(count)]


class FolderPictures(Pictures):
    """``count`` pictures spread evenly over the sorted paths below ``folder``; all of them where it is None.

    Raises InputError when the folder is missing or holds too few; on iteration, when a picture cannot be read.
    """

    def __init__(self, folder: Path, count: int | None) -> None:
        listing = scan(folder)
        paths = listing.pictures
        others = f", left out: {listing.left_out}" if listing.others else ""
        if not paths:
            raise InputError(f"{folder}: has no pictures{others}: add some or name another folder")
        if count is not None and len(paths) < count:
            raise InputError(
                f"{folder}: has {len(paths)} pictures, count asks for {count}{others}: add pictures or lower count"
            )
        self.notes = listing.words(folder)
        names = distinct_names([path.relative_to(folder) for path in paths])
        self._files = evenly(list(zip(names, paths, strict=True)), count)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def longest_name(self) -> str:
        """The name that takes most room in a file system."""
        return max((name for name, _ in self._files), key=lambda name: len(name.encode()))

    def reads(self) -> Iterator[Read]:
        return (partial(_read, name, path) for name, path in self._files)


def _read(name: str, path: Path) -> NamedPicture:
    return NamedPicture(name, str(path), open_rgb(path))


class HubPictures(Pictures):
    """The first ``count`` pictures of a hub data set of ``least`` height and width or more.

    Smaller and unreadable ones are left out: nobody can remove them there. The hub is asked at iteration.
    Raises InputError, with the way out, when it or the data set cannot be reached.
    """

    def __init__(self, source: HubSource, count: int, least: Shape) -> None:
        self.source, self.count, self.least = source, count, least
        self.notes: list[str] = []

    def __len__(self) -> int:
        return self.count

    @property
    def longest_name(self) -> str:
        """Any of its names: all have the same length."""
        return f"{0:06d}"

    def reads(self) -> Iterator[Read]:
        usable = 0
        for i, row in enumerate(_rows(self.source)):
            origin = f"{self.source.name}[{self.source.split}][{i}]"
            file = io.BytesIO(picture_file(self.source, row))
            try:
                picture = read_rgb(file, origin)
            except InputError:
                continue
            if picture.shape[0] < self.least[0] or picture.shape[1] < self.least[1]:
                continue
            yield partial(NamedPicture, f"{i:06d}", origin, Image.fromarray(picture))
            usable += 1
            if usable == self.count:
                return
        raise InputError(
            f"{self.source.name}: has {usable} pictures of {size_text(self.least)} px or more in split "
            f"{self.source.split!r}, count asks for {self.count}: lower count or crop"
        )


def _rows(source: HubSource) -> Iterator[Row]:
    with _reading(source):
        _reach(source.name)
        yield from _undecoded(source)


def _undecoded(source: HubSource) -> Any:
    """The data set's rows with files as they are: the package would open all that Pillow opens, in every column."""
    from datasets import load_dataset

    with _own_files(source.name):
        rows = load_dataset(source.name, split=source.split, streaming=True)
    return rows.decode(False) if rows.features else rows


@contextmanager
def _own_files(name: str) -> Iterator[None]:
    """Have a data set list its own files only: its README, a stranger's, may name any file of this machine, and any
    address, which the package would open.
    """
    from datasets import data_files

    resolve = data_files.resolve_pattern

    def own(pattern: str, *given: Any, **named: Any) -> list[str]:
        # Before it is resolved, for which servers are asked.
        leads_out = "::" in pattern or "://" in pattern or os.path.isabs(pattern) or ".." in Path(pattern).parts
        files = [pattern] if leads_out else resolve(pattern, *given, **named)
        if outside := next((file for file in files if leads_out or not _is_in_set(name, file)), None):
            raise InputError(f"{name}: its README lists {one_line(outside)}, outside of the set: use another set")
        return files

    data_files.resolve_pattern = own
    try:
        yield
    finally:
        data_files.resolve_pattern = resolve


def shuffled_rows(source: StreamSource, seed: int) -> Iterator[Row]:
    """A hub data set's first ``source.count`` rows, again and again, each time in another order that follows from
    ``seed``: shards shuffled, rows within ``source.pool``. Pictures are not decoded: ``picture_file`` gives them.

    Raises InputError, with the way out, when the hub cannot be reached or the data set is empty.
    """
    with _reading(source):
        _reach(source.name)
        rows = _undecoded(source)
        rows = rows if source.count is None else rows.take(source.count)
        rows = rows.shuffle(seed=seed, buffer_size=source.pool)
        for epoch in itertools.count():
            rows.set_epoch(epoch)
            empty = True
            for row in rows:
                empty = False
                yield row
            if empty:
                raise InputError(f"{source.name}: split {source.split!r} is empty: choose another split")


@contextmanager
def _reading(source: HubSource) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the hub's clients raise errors of many libraries, of no common class
        why, way_out = one_line(str(error)) or type(error).__name__, "check name, split and network"
        if is_offline():
            why, way_out = "HF_HUB_OFFLINE is set, so the Hub is not asked", "unset HF_HUB_OFFLINE"
        local = "data.train: [FOLDER]" if isinstance(source, StreamSource) else "source: {kind: folder, path: ...}"
        raise InputError(
            f"{source.name}, split {source.split!r}: the hub data set cannot be read ({why}): {way_out}, or "
            f"give a local folder of pictures instead ({local})"
        ) from None


def _reach(name: str) -> None:
    """Ask for the data set once: load_dataset alone tries for half a minute before it says that there is no network."""
    if not Path(name).is_dir():
        from huggingface_hub import HfApi

        HfApi().dataset_info(name, timeout=10)


def picture_file(source: HubSource, row: Row) -> bytes:
    """The bytes of a row's picture that was not decoded: in the row, or in a file that it points to.

    Raises InputError when the row has no such column or no picture in it, or when the file cannot be reached, is not in
    the data set, or has more than ``MOST_BYTES``.
    """
    value = _cell(source, row)
    if not isinstance(value, dict) or not {"bytes", "path"} <= value.keys():
        raise _no_pictures(source)
    if value["bytes"] is not None:
        return bytes(value["bytes"])
    place = str(value["path"])
    if not _is_in_set(source.name, place):
        raise InputError(f"{source.name}: a row's picture is {one_line(place)}, outside of the set: use another set")
    with _reading(source), _opened(place) as file:
        data = bytes(file.read(MOST_BYTES + 1))
    if len(data) > MOST_BYTES:
        raise InputError(f"{source.name}: {one_line(place)} has more than {MOST_BYTES >> 20} MB: use another set")
    return data


def _is_in_set(name: str, place: str) -> bool:
    """Whether a row's file is one of its data set ``name``, itself or in a zip archive.

    Rows are a stranger's: fsspec would open any file of this machine, a device without an end, any address, and, by
    the user's own keys, any host.
    """
    *inside, file = place.split("::")
    if any(not part.startswith("zip://") for part in inside):
        return False
    if Path(name).is_dir():
        return os.path.abspath(name) in map(str, Path(os.path.abspath(file)).parents) or (
            real_path(Path(name)) in real_path(Path(file)).parents
        )
    at = re.fullmatch(r"hf://datasets/([^@]+)@[^/]+/(.+)", file)
    if at is None or ".." in at[2].split("/"):
        return False
    known, asked = at[1].casefold(), name.casefold()  # the Hub gives a set its whole name
    return known == asked or ("/" not in asked and known.endswith(f"/{asked}"))


def _opened(place: str) -> "AbstractContextManager[IO[bytes]]":
    import fsspec

    return fsspec.open(place, "rb") if "://" in place else open_plain(Path(place))  # type: ignore[no-any-return]


def _cell(source: HubSource, row: Row) -> Any:
    if source.column not in row:
        raise InputError(f"{source.name}: no column {source.column!r} (it has: {', '.join(row)}): set source.column")
    return row[source.column]


def _no_pictures(source: HubSource) -> InputError:
    return InputError(f"{source.name}: column {source.column!r} holds no pictures: set source.column to one that does")
