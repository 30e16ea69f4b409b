"""Finished stages of a run, remembered by content: a stage whose key and files are unchanged is not run again."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from compress.bundle.open import holds
from compress.files import sha256_file, sha256_text, write_text
from compress.folders import stage_record

T = TypeVar("T")

FOLDER = ".stages"
Files: TypeAlias = Iterable[str] | Callable[[Any], Iterable[str]]


class PassStore(Protocol):
    """What passes took long to make, shared between runs. ``key`` names all that it depends on."""

    def fetch(self, key: str, path: Path) -> bool:
        """Put the file of ``key`` at ``path``; False where nobody left it."""
        ...

    def leave(self, key: str, path: Path) -> None:
        """Leave the file at ``path`` under ``key``."""
        ...


class Stages:
    """Records below ``folder``/.stages, one file a stage, each written whole after its stage's files."""

    def __init__(self, folder: Path, key: Mapping[str, object], *, resume: bool) -> None:
        self.folder, self.key, self.resume = folder, key, resume

    def run(self, name: str, work: Callable[[], Any], extra: Any = None, files: Files = ()) -> Any:
        """The JSON result of ``work``, remembered.

        ``extra``: what the stage depends on beyond the run's key. ``files``: what it writes, relative to the folder;
        they must be as the stage left them, or it runs again; a function tells them from the result.
        """
        record = self._finished(name, extra)
        return record["result"] if record else self._work(name, work, extra, files)

    def _work(self, name: str, work: Callable[[], Any], extra: Any, files: Files) -> Any:
        result = work()
        written = files(result) if callable(files) else files
        hashes = {f: sha256_file(self.folder / f) for f in written}
        write_text(self._path(name), json.dumps({"key": self._key(extra), "files": hashes, "result": result}))
        return result

    def run_as(
        self,
        kind: type[T],
        name: str,
        work: Callable[[], T],
        extra: Any = None,
        files: Callable[[T], Iterable[str]] | None = None,
    ) -> T:
        """``run`` of a stage whose result is a ``kind``: a type that pydantic writes and reads."""
        adapter: TypeAdapter[T] = TypeAdapter(kind)

        def listed(result: Any) -> Iterable[str]:
            return () if files is None else files(adapter.validate_python(result))

        def made() -> Any:
            return adapter.dump_python(work(), mode="json", exclude_unset=True)

        if record := self._finished(name, extra):
            with suppress(ValidationError):  # a stranger may have written it: it is made again
                return adapter.validate_python(record["result"])
        return adapter.validate_python(self._work(name, made, extra, listed))

    def done(self, name: str, extra: Any = None) -> bool:
        """Whether ``run`` would find the stage finished."""
        return self._finished(name, extra) is not None

    def _path(self, name: str) -> Path:
        return self.folder / FOLDER / f"{name}.json"

    def _finished(self, name: str, extra: Any) -> dict[str, Any] | None:
        """The record of a stage whose key and files are those of now. Whoever knows them all can write one, too."""
        record = stage_record(self._path(name)) if self.resume else None
        return record if record and record["key"] == self._key(extra) and self._intact(record["files"]) else None

    def _key(self, extra: Any) -> str:
        # What JSON does not know raises TypeError: an object's address as text would be a key that is never met again.
        return sha256_text(json.dumps([self.key, extra], sort_keys=True))

    def _intact(self, files: dict[str, str]) -> bool:
        try:
            inside = all(holds(self.folder, f) and (self.folder / f).is_file() for f in files)
            return inside and all(sha256_file(self.folder / f) == h for f, h in files.items())
        except OSError:  # a name that is too long
            return False
