"""Where artifacts and records of finished work lie, shared by all who work: a folder, or S3, through fsspec."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from pydantic import TypeAdapter, ValidationError

from compress.bundle.open import holds
from compress.errors import CompressError, InputError
from compress.files import PART, TooLong, open_plain, read_plain, whole_file
from compress.native_work import native_work
from compress.results.json_text import parse_json
from compress.results.section import first_mistake
from compress.text import one_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")
MOST_BYTES = 256 << 20
"""Largest size of a record: that of a build with ten thousand pictures takes 60 MB."""
BLOCK = 2**22
SILENT_S = 15.0
"""How long a server of S3 may send nothing."""
CALL_S = 120.0
"""How long a server may take for one answer, or for 4 MB of a file; a byte per second is not silent."""
CALL_BYTES = 1 << 30
"""Memory that one answer may take: a listing of 10,000 units takes 10 MB, and one without end is read whole."""
MOST_FETCHED = 8 << 30
"""Bytes of a file or a folder that is fetched."""
MOST_FILES = 10_000
"""Files and folders below a folder that is fetched."""


class Refusal(InputError):
    """A store that refuses, in one line that names it."""


def _impatient(system: Any) -> Any:
    """The same place, whose server is asked twice at most: pyarrow's own patience is minutes, without a word."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    _, (settings, *_) = system.__reduce__()
    bounds = {"connect_timeout": SILENT_S, "request_timeout": SILENT_S}
    # A file's parts are sent as they are written: else the last call waits for all of them.
    own = bounds | {"background_writes": False}
    return S3FileSystem(**settings | own, retry_strategy=AwsStandardS3RetryStrategy(max_attempts=2))


class Store:
    """Files by path below ``url``: a folder, s3://bucket/folder (by pyarrow; credentials from the usual AWS variables,
    another server by ?endpoint_override=host:port&scheme=http), or any other that fsspec knows.

    A file is there whole or not at all. Every method raises InputError, one line, where the store refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.url,)

    @cached_property
    def _opened(self) -> "tuple[AbstractFileSystem, str]":
        with self._errors():
            if not self.url.isprintable():  # a NUL, which fails later, and elsewhere
                raise ValueError("its place has control characters")
            if self.url.startswith("s3://"):
                from fsspec.implementations.arrow import ArrowFSWrapper
                from pyarrow.fs import FileSystem

                system, path = FileSystem.from_uri(self.url)
                return ArrowFSWrapper(_impatient(system)), path.rstrip("/")
            from fsspec.core import url_to_fs

            system, path = url_to_fs(self.url)
            return system, path.rstrip("/")

    @property
    def _local(self) -> bool:
        return "file" in self._opened[0].protocol

    @property
    def is_here(self) -> bool:
        """Whether it is a folder, by its address alone: asking one needs no connection."""
        return self.url.startswith("file://") or not ("://" in self.url or "::" in self.url)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of fsspec's systems have no common class."""
        try:
            yield
        except (CompressError, MemoryError):
            raise
        except Exception as error:
            raise self._refused(error) from None

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Around one call that a server answers: in time, and with no more than can be held."""
        late = self._refused(TimeoutError(f"no whole answer within {CALL_S:.0f} s, or one without end"))
        bounds = nullcontext() if self.is_here else native_work(f"store {self.place}", CALL_S, late, CALL_BYTES)
        with self._errors(), bounds:
            yield

    def _refused(self, error: Exception) -> Refusal:
        why = one_line(str(getattr(error, "strerror", None) or error)) or type(error).__name__
        return Refusal(
            f"store {self.place}: cannot be used ({why}): check the place and its rights, or give another store"
        )

    @property
    def place(self) -> str:
        """The store's address for people, without the query, which may hold keys."""
        return self.url.partition("?")[0]

    def check(self) -> None:
        """Raise InputError unless files can be written, read and removed."""
        name = f"probe-{uuid.uuid4().hex}.json"
        self.write(name, {"probe": True})
        if self.read(name) is None:
            raise InputError(f"store {self.place}: what was written is not there: give another store")
        self.remove(name)

    def read_as(self, kind: type[T], path: str) -> T | None:
        """A JSON document that is a ``kind``, a type that pydantic reads; None where there is none."""
        document = self.read(path)
        try:
            return None if document is None else TypeAdapter(kind).validate_python(document)
        except ValidationError as error:
            raise self._refused(ValueError(f"{path} is damaged: {first_mistake(error)}")) from None

    def read(self, path: str) -> Any:
        """A JSON document; None where there is none."""
        at = f"{self._opened[1]}/{path}"
        with self._errors():
            try:
                if self._local:
                    data = read_plain(Path(at), MOST_BYTES)
                else:
                    with self._reader(at) as file:
                        data = b"".join(self._blocks(file, MOST_BYTES, f"{path} has more than {MOST_BYTES >> 20} MB"))
            except FileNotFoundError:
                return None
            try:
                return parse_json(data)
            except ValueError as error:
                raise ValueError(f"{path} is damaged: {error}") from None

    def write(self, path: str, document: Any) -> None:
        """A JSON document, whole."""
        with self._writer(path) as file, self._asked():
            file.write(json.dumps(document, allow_nan=False).encode())

    def put(self, local: Path, path: str) -> None:
        """Store a file."""
        with self._errors(), local.open("rb") as source, self._writer(path) as file:
            while block := source.read(BLOCK):
                with self._asked():
                    file.write(block)

    def get(self, path: str, local: Path, most: int | None = None) -> int | None:
        """Fetch a file of at most ``most`` bytes (``MOST_FETCHED``); how many it has, None where there is none."""
        at, size = f"{self._opened[1]}/{path}", 0
        too_long = f"{path}, or the whole of its folder, has more than {MOST_FETCHED >> 30} GB"
        with self._errors():
            try:
                opened = open_plain(Path(at)) if self._local else self._reader(at)
                with opened as source, whole_file(local) as part, part.open("wb") as file:
                    for block in self._blocks(source, MOST_FETCHED if most is None else most, too_long):
                        file.write(block)
                        size += len(block)
                return size
            except FileNotFoundError:
                return None

    @contextmanager
    def _reader(self, at: str) -> "Iterator[BinaryIO]":
        """A file that lies elsewhere, open for reading. Raises FileNotFoundError."""
        missing = False
        with self._asked():
            try:
                file = self._opened[0].open(at, "rb")
            except FileNotFoundError:
                missing = True
        if missing:
            raise FileNotFoundError(at)
        with file:
            yield file

    def _blocks(self, file: "BinaryIO", most: int, too_long: str) -> Iterator[bytes]:
        """The bytes of an open file, as they come. Raises TooLong, which says ``too_long``, for more than ``most``."""
        while True:
            with self._asked():
                block = bytes(file.read(min(BLOCK, most + 1)))
            if len(block) > most:
                raise TooLong(too_long)
            if not block:
                return
            most -= len(block)
            yield block

    def put_folder(self, local: Path, path: str, last: str) -> None:
        """Store a folder's files but the hidden ones; ``last`` after all others, so that it says: complete."""
        files = [p.relative_to(local).as_posix() for p in local.rglob("*") if p.is_file()]
        shown = [f for f in files if not any(part.startswith(".") for part in Path(f).parts)]
        for file in sorted(shown, key=lambda f: (f == last, f)):
            self.put(local / file, f"{path}/{file}")

    def get_folder(self, path: str, local: Path, last: str) -> None:
        """Fetch a folder's files that ``local`` lacks, ``last`` after all others. Raises InputError for none."""
        if (local / last).is_file():
            return
        files = self._files_below(path)
        if outside := [file for file in files if not holds(local, file)]:  # an object's key may be any text
            raise self._refused(ValueError(f"{outside[0]!r} leads out of its folder"))
        if last not in files:
            raise InputError(f"store {self.place}: {path} is not there, though its record is: give another store")
        left = MOST_FETCHED
        for file in sorted(files, key=lambda f: (f == last, f)):
            left -= self.get(f"{path}/{file}", local / file, left) or 0

    def _files_below(self, path: str) -> set[str]:
        """Paths of the files below a folder, from it on: fsspec's own search takes a server that refuses for empty."""
        system, root = self._opened
        folders, files, seen = [f"{root}/{path}"], set(), 0
        while folders:
            folder = folders.pop()
            with self._asked():
                try:
                    listed = list(system.ls(folder, detail=True))
                except FileNotFoundError:
                    listed = []
            seen += len(listed)
            if seen > MOST_FILES:
                raise self._refused(ValueError(f"{path} has more than {MOST_FILES} files"))
            for entry in listed:
                name = str(entry["name"]).rstrip("/")
                if name == folder:  # as some systems list it
                    continue
                _, ours, below = name.partition(f"{path}/")
                if not ours:
                    raise self._refused(ValueError(f"{name!r} is not in the folder that was asked for"))
                if entry["type"] == "directory":
                    folders.append(name)
                else:
                    files.add(below)
        return files

    def names(self, folder: str) -> set[str]:
        """Names of the files right in a folder, without suffix; empty where there is none."""
        system, root = self._opened
        with self._asked():
            try:
                listed = system.ls(f"{root}/{folder}", detail=False, refresh=True)
            except FileNotFoundError:
                return set()
        return {Path(str(p)).stem for p in listed if not Path(str(p)).name.startswith(PART)}

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        system, root = self._opened
        with self._asked(), suppress(FileNotFoundError):
            system.rm_file(f"{root}/{path}")

    @contextmanager
    def _writer(self, path: str) -> "Iterator[BinaryIO]":
        """A file to write, which is not seen before it is whole; an object store shows none before."""
        system, root = self._opened
        at = f"{root}/{path}"
        try:
            with whole_file(Path(at)) if self._local else nullcontext(at) as place:
                with self._asked():
                    file = system.open(str(place), "wb")
                try:
                    yield file
                except BaseException:
                    with suppress(Exception), self._asked():
                        file.close()  # which an object store takes for the end of the whole file
                    if not self._local:
                        with suppress(Exception), self._asked():
                            system.rm_file(at)
                    raise
                with self._asked():
                    file.close()
        except Refusal:
            raise
        except InputError as error:
            raise self._refused(error) from None
