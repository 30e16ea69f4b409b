"""The pictures below a folder: what can be opened here, and what was left out, by name or by number."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from compress.data.open import MISSING, suffixes
from compress.errors import InputError

NAMED = 3
_PART = ".part-"  # compress.files: what a killed run leaves


@dataclass
class Listing:
    """``pictures`` sorted by path; ``others``: names of files left out, by suffix; ``notes``: sentences on links."""

    pictures: list[Path] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> str:
        """``2 .heic (a.heic, b.heic; pip install pillow-heif), 1 .txt (c.txt)``; empty where all files are pictures."""
        return ", ".join(
            f"{len(names)} {suffix} ({_named(suffix, names)})" for suffix, names in sorted(self.others.items())
        )

    def words(self, folder: Path) -> list[str]:
        """One line each on what was left out of ``folder``, for the user."""
        left = [f"{folder}: left out, not opened as pictures: {self.left_out}"] if self.others else []
        return left + [f"{folder}: {note}" for note in self.notes]


def scan(folder: Path) -> Listing:
    """Every picture below ``folder``, by suffix. Linked folders are followed, each folder once.

    ``._x.png`` of macOS and unfinished files of ours are no pictures. Raises InputError when there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of pictures: check the path")
    listing = Listing()
    walker = _Walker(listing)
    walker.walk(folder)
    while walker.links:
        # Links last: a folder that is also reached without one keeps its own paths.
        links, walker.links = sorted(walker.links), []
        for link in links:
            walker.follow(link, folder)
    listing.pictures.sort()
    return listing


class _Walker:
    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.links: list[Path] = []
        self.seen: set[tuple[int, int]] = set()
        self.again: list[Path] = []

    def walk(self, top: Path) -> None:
        for folder, folders, files in os.walk(top, onerror=self._unreadable):
            here = Path(folder)
            if not self._new(here):
                folders.clear()
                continue
            self.links += [here / name for name in folders if (here / name).is_symlink()]
            for name in files:
                self._file(here / name)

    def follow(self, link: Path, top: Path) -> None:
        try:
            known = self._known(link)
        except OSError as error:
            self._unreadable(error)
            return
        if known:
            self.listing.notes.append(f"{link.relative_to(top)} links to a folder that was read already: left out")
        else:
            self.walk(link)

    def _new(self, folder: Path) -> bool:
        new = not self._known(folder)
        self.seen.add(_identity(folder))
        return new

    def _known(self, folder: Path) -> bool:
        return _identity(folder) in self.seen

    def _file(self, path: Path) -> None:
        if path.name.startswith(("._", _PART)):
            return
        if path.is_symlink() and not path.exists():
            self.listing.notes.append(f"{path.name} is a link that leads to no file: left out")
        elif path.suffix.lower() not in suffixes():
            self.listing.others.setdefault(path.suffix.lower() or "without a suffix", []).append(path.name)
        elif path.is_file():
            self.listing.pictures.append(path)
        else:
            self.listing.notes.append(f"{path.name} is not a file (a pipe or device): left out")

    def _unreadable(self, error: OSError) -> None:
        self.listing.notes.append(f"{error.filename} cannot be read ({error.strerror}): left out")


def _named(suffix: str, names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return f"{shown}; {MISSING[suffix]}" if suffix in MISSING else shown


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
