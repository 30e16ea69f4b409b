"""Which files of a folder are pictures, and that no other is passed over in silence."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from compress.data.folders import scan
from compress.data.open import suffixes

NAMES = ["a.avif", "b.gif", "c.jfif", "d.JPG", "e.jp2", "f.tga", "g.mpo", "h.jpe", "i.ppm", "j.qoi", "k.apng", "l.dib"]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names_below(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in scan(folder).pictures]


def test_everything_that_pillow_opens_here_is_a_picture(tmp_path: Path) -> None:
    assert names_below(touch(tmp_path, *NAMES)) == NAMES
    assert scan(tmp_path).words(tmp_path) == []


def test_the_rest_is_named_with_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compress.data import folders

    monkeypatch.setattr(folders, "suffixes", lambda: suffixes() - {".heic"})
    touch(tmp_path, "a.png", "b.heic", "below/c.HEIC", "d.eps", "notes.txt", "README", "._a.png", "below/._c.jpg")
    listing = scan(tmp_path)
    assert listing.words(tmp_path) == [
        f"{tmp_path}: left out, not opened as pictures: 1 .eps (d.eps), 2 .heic (b.heic, c.HEIC; pip install "
        "pillow-heif), 1 .txt (notes.txt), 1 without a suffix (README)"
    ]
    assert names_below(tmp_path) == ["a.png"]


@settings(max_examples=60)
@given(
    names=st.sets(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20), max_size=6)
)
def test_every_file_is_a_picture_or_counted(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    folder = tmp_path_factory.mktemp("names")
    names = {name for name in names if name not in (".", "..") and len(name.encode()) < 200}
    touch(folder, *names)
    listing = scan(folder)
    hidden = sum(name.startswith(("._", ".part-")) for name in os.listdir(folder))
    assert len(listing.pictures) + sum(map(len, listing.others.values())) + hidden == len(os.listdir(folder))


def test_links_are_followed_once_or_named(tmp_path: Path) -> None:
    folder, other = touch(tmp_path / "in", "a.png", "real/b.png"), touch(tmp_path / "other", "c.png", "d/e.png")
    (folder / "alias").symlink_to(folder / "real")
    (folder / "away").symlink_to(other)
    (folder / "loop").symlink_to(folder)
    (folder / "real/up").symlink_to("..")
    (folder / "f.png").symlink_to(other / "c.png")
    (folder / "dead.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "pipe.png")
    assert names_below(folder) == ["a.png", "away/c.png", "away/d/e.png", "f.png", "real/b.png"]
    assert sorted(scan(folder).notes) == [
        "alias links to a folder that was read already: left out",
        "dead.png is a link that leads to no file: left out",
        "loop links to a folder that was read already: left out",
        "pipe.png is not a file (a pipe or device): left out",
        "real/up links to a folder that was read already: left out",
    ]


def test_links_among_folders_do_not_multiply(tmp_path: Path) -> None:
    """Each level links twice to the next: 2^30 paths, 31 folders."""
    for i in range(31):
        touch(tmp_path / "all" / f"{i}", "x.png")
    for i in range(30):
        for name in "ab":
            (tmp_path / "all" / f"{i}" / name).symlink_to(tmp_path / "all" / f"{i + 1}")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/first").symlink_to(tmp_path / "all/0")
    assert len(names_below(tmp_path / "in")) == 31


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a system call that refuses: root reads every folder."""
    touch(tmp_path, "shut/a.png", "b.png")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names_below(tmp_path) == ["b.png"]
    assert scan(tmp_path).notes == [f"{tmp_path / 'shut'} cannot be read (Permission denied): left out"]


def test_links_deeper_than_the_system_follows_are_named(tmp_path: Path) -> None:
    for i in range(60):
        touch(tmp_path / "all" / f"{i}", "x.png")
        (tmp_path / "all" / f"{i}" / "a").symlink_to(tmp_path / "all" / f"{i + 1}")
    (tmp_path / "all/60").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/first").symlink_to(tmp_path / "all/0")
    listing = scan(tmp_path / "in")
    assert 30 < len(listing.pictures) < 60
    assert any("leads to no file" in note for note in listing.notes)


def test_a_picture_of_every_suffix_is_read(tmp_path: Path) -> None:
    from compress.data.pictures import read_rgb

    for suffix, format in {".jfif": "JPEG", ".jp2": "JPEG2000", ".tga": "TGA", ".avif": "AVIF", ".gif": "GIF"}.items():
        Image.new("RGB", (24, 16), "white").save(tmp_path / f"x{suffix}", format)
    assert [read_rgb(path).min() > 250 for path in scan(tmp_path).pictures] == [True] * 5
