"""A tool: a folder that is built step by step, each step once; a build that was stopped goes on where it was."""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from compress.cache import cache_folder
from compress.errors import InputError, Unavailable
from compress.files import locked, sha256_file, sha256_text, write_text

if TYPE_CHECKING:
    from compress.progress import Progress

NATIVE = Path(__file__).with_name("native")
SPARE = 4  # unpacked and compiled, a tool takes about this many times what is downloaded
Step = tuple[str, Callable[[], None]]


MISSING = "missing"


def installed(distribution: str) -> str:
    """Version of an installed package, or ``MISSING``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return MISSING


class Tool(ABC):
    """One tool. ``folder`` is named by everything that it is made from: another release builds another beside it."""

    name: ClassVar[str]
    purpose: ClassVar[str]
    download_mb: ClassVar[int]
    sources: ClassVar[tuple[str, ...]] = ()
    """Files of ``native`` that are compiled."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Packages whose versions are chosen here."""

    @abstractmethod
    def steps(self) -> list[Step]:
        """(name, what it does), in order; a step that was stopped is done again."""

    @abstractmethod
    def check(self) -> None:
        """Raise Unavailable where this machine cannot have the tool."""

    @cached_property
    def folder(self) -> Path:
        parts = [f"{key}={value}" for key, value in sorted(self.versions().items())]
        parts += [sha256_file(NATIVE / source) for source in self.sources]
        return cache_folder() / f"{self.name}-{sha256_text(' '.join(parts))[:12]}"

    @property
    def ready(self) -> bool:
        """Whether it is set up."""
        return (self.folder / "ready").is_file()

    @property
    def setup_command(self) -> str:
        """What sets it up."""
        return f"compress targets setup {self.name}"

    @property
    def advice(self) -> str:
        """What to do where it is not set up."""
        return f"run `{self.setup_command}` ({self.download_mb} MB to download)"

    def setup(self, progress: "Progress") -> Path:
        """Build what is not there yet -> ``folder``.

        Raises Unavailable when this machine cannot have it or a source cannot be reached, InputError when the cache
        folder cannot be written.
        """
        if self.ready:
            return self.folder
        self.check()
        for name, version in self.versions().items():
            if version == MISSING:
                raise Unavailable(
                    f"{self.name} takes {name}'s version from here, where it is not installed: install it"
                )
        self._room()
        steps = self.steps()
        with locked(self.folder, progress.say), progress.stage(f"set up {self.name}", len(steps), even=False) as stage:
            for name, action in steps:
                stage.note(name)
                mark = self.folder / f".done-{name.replace(' ', '-')}"
                if not mark.exists():
                    action()
                    write_text(mark, "")
                stage.advance()
            write_text(self.folder / "ready", "".join(f"{k} {v}\n" for k, v in self.versions().items()))
            shutil.rmtree(self.folder / "downloads", ignore_errors=True)
        return self.folder

    def require(self) -> Path:
        """``folder``. Raises Unavailable, with the command that sets it up, when it is not."""
        if not self.ready:
            raise Unavailable(f"{self.name} is not set up here: {self.advice}")
        return self.folder

    def _room(self) -> None:
        above = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        if not os.access(above, os.W_OK):
            raise InputError(f"{above}: cannot be written: set COMPRESS_CACHE to a folder that can")
        free, need = shutil.disk_usage(above).free >> 20, SPARE * self.download_mb
        if free < need:
            raise InputError(f"{above}: has {free} MB free, {self.name} takes {need}: set COMPRESS_CACHE to another")
