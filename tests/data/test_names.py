"""Names of pictures and sets: different for whatever is different, and fit for a file."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compress.data.names import LONGEST, distinct_names, file_name, same_name, set_names
from compress.errors import InputError

# Whatever Linux takes for a name; surrogates stand for bytes that are not UTF-8.
PARTS = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=120).filter(
    lambda t: t not in (".", "..")
)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: Path(*parts[:-1], parts[-1] + ".png"))


@given(st.lists(PARTS, min_size=2, max_size=30, unique=True))
def test_no_two_texts_become_one(texts: list[str]) -> None:
    assert len({file_name(text) for text in texts}) == len(texts)


@given(st.lists(PATHS, min_size=1, max_size=20, unique=True))
def test_every_picture_has_a_name_of_its_own_that_fits(paths: list[Path]) -> None:
    names = distinct_names(paths)
    assert len({same_name(name) for name in names}) == len(paths)
    for name in names:
        assert name.isprintable() and not set(name) & set("/\\:[]") and name[0] not in ".-"
        assert len(name.encode()) <= LONGEST


@pytest.mark.parametrize("text", ["photo 1", "São Paulo", "фото", "写真", "a.200", "été"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert file_name(text) == text


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.200.png", "a.300.png"], ["a.200", "a.300"]),
        (["a/x.png", "b/x.png"], ["a_x", "b_x"]),
        (["x.png", "x.jpg"], ["x.png", "x.jpg"]),
        (["X.png", "x.png"], ["00000_X.png", "00001_x.png"]),
        (["a/b.png", "a_b.png"], ["00000_a_b.png", "00001_a_b.png"]),
        ([".x.png", "-o.png"], ["%2Ex", "%2Do"]),
    ],
)
def test_names_of_pictures(paths: list[str], names: list[str]) -> None:
    assert distinct_names([Path(path) for path in paths]) == names


def test_names_of_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/photos", "b/photos", "c/a/photos", "写真", "фото"):
        (tmp_path / name).mkdir(parents=True)
    assert set_names(["./a/photos"]) == ["photos"]
    assert set_names(["./a/photos", "./b/photos", "photos_validation"]) == ["a-photos", "b-photos", "photos_validation"]
    assert set_names(["./写真", "./фото"]) == ["写真", "фото"]
    assert set_names(["./a/photos", "./c/a/photos"]) == [f"{tmp_path.name}-a-photos", "c-a-photos"]
    with pytest.raises(InputError, match="is given twice"):
        set_names(["./a/photos", "./a/../a/photos"])
    for name in ("one.yaml", "two.yaml"):
        Path(name).write_text("version: 1\nname: mine\nsource: {kind: folder, path: a/photos}\n")
    with pytest.raises(InputError, match=r"one.yaml and two.yaml: two sets are named mine: change the name"):
        set_names(["./one.yaml", "./two.yaml"])


def test_a_picture_whose_name_is_no_text(tmp_path: Path) -> None:
    from compress.data.sources import FolderPictures

    Image.new("RGB", (8, 8)).save(os.fsencode(tmp_path) + b"/caf\xe9.png", "PNG")
    assert [picture.name for picture in FolderPictures(tmp_path, None)] == ["caf%ED%B3%A9"]
