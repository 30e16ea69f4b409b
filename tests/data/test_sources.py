import io
import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.data import sources
from compress.data.sources import FolderPictures, HubPictures, picture_file, shuffled_rows
from compress.errors import InputError
from compress.recipe.calibration_set import HubSource
from compress.recipe.train import StreamSource


def fill(folder: Path, names: list[str], side: int = 64) -> Path:
    """Pictures whose value is their position."""
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((side, side, 3), i, np.uint8)).save(folder / name)
    return folder


@pytest.fixture()
def hub(tmp_path: Path) -> HubSource:
    """`datasets` reads a folder of pictures by the same call as a hub name."""
    folder = fill(tmp_path / "set", [f"train/{i}.png" for i in range(5)])
    Image.fromarray(np.full((16, 64, 3), 9, np.uint8)).save(folder / "train" / "2_small.png")
    return HubSource(name=str(folder))


def test_a_folder_gives_its_pictures_in_order(tmp_path: Path) -> None:
    pictures = FolderPictures(fill(tmp_path, ["a.png", "b/c.png"]), None)
    assert len(pictures) == 2
    assert [(p.name, p.origin) for p in pictures] == [
        ("a", str(tmp_path / "a.png")),
        ("b_c", str(tmp_path / "b" / "c.png")),
    ]


def test_count_spreads_over_the_folder(tmp_path: Path) -> None:
    pictures = FolderPictures(fill(tmp_path, [f"{i}.png" for i in range(9)]), 3)
    assert [p.name for p in pictures] == ["0", "3", "6"]


@pytest.mark.parametrize("names", [["a.png", "a.bmp"], ["a_b.png", "a/b.png"]])
def test_names_are_unique(tmp_path: Path, names: list[str]) -> None:
    given = [p.name for p in FolderPictures(fill(tmp_path, names), None)]
    assert len(set(given)) == 2
    assert all("/" not in name for name in given)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(
        InputError, match=r"has no pictures, left out: 1 \.txt \(notes\.txt\): add some or name another folder"
    ):
        FolderPictures(tmp_path, None)


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path, [f"{i}.png" for i in range(12)])
    with pytest.raises(InputError, match="has 12 pictures, count asks for 32: add pictures or lower count"):
        FolderPictures(folder, 32)


def test_hub_pictures_are_streamed_and_small_ones_left_out(hub: HubSource) -> None:
    result = list(HubPictures(hub, 4, (64, 64)))
    assert [image.getpixel((0, 0))[0] for _, _, image, _ in result] == [0, 1, 2, 3]
    assert result[0][1] == f"{hub.name}[train][0]"
    assert all(image.mode == "RGB" for _, _, image, _ in result)


def test_hub_set_with_too_few_pictures(hub: HubSource) -> None:
    with pytest.raises(InputError, match=r"has 5 pictures of 64 px or more in split 'train', count asks for 6"):
        list(HubPictures(hub, 6, (64, 64)))


def test_hub_column_that_is_not_there(hub: HubSource) -> None:
    wrong = hub.model_copy(update={"column": "photo"})
    with pytest.raises(InputError, match=r"no column 'photo' \(it has: image.*\): set source\.column"):
        list(HubPictures(wrong, 1, (64, 64)))


def test_hub_split_that_is_not_there(hub: HubSource) -> None:
    wrong = hub.model_copy(update={"split": "valid"})
    with pytest.raises(InputError, match=r"split 'valid': the hub data set cannot be read \(.*train"):
        list(HubPictures(wrong, 1, (64, 64)))


def test_shuffled_rows_go_on_without_end_and_hold_files(hub: HubSource) -> None:
    stream = StreamSource(name=hub.name, pool=3)
    rows = [picture_file(stream, row) for row in islice(shuffled_rows(stream, 0), 12)]
    files = {path.read_bytes() for path in Path(hub.name).rglob("*.png")}
    assert set(rows[:6]) == set(rows[6:]) == files
    assert rows[:6] != rows[6:]
    assert rows == [picture_file(stream, row) for row in islice(shuffled_rows(stream, 0), 12)]


def test_shuffled_rows_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("image,label\nred,1\n")
    texts = StreamSource(name=str(tmp_path))
    with pytest.raises(InputError, match=r"column 'image' holds no pictures: set source\.column"):
        picture_file(texts, next(shuffled_rows(texts, 0)))


@pytest.mark.parametrize(
    "place",
    [
        "{folder}/secret.csv",
        "../secret.csv",
        "file://{folder}/secret.csv",
        "http://127.0.0.1:9/x.csv",
        "{folder}/*.csv",
        "zip://x.csv::http://127.0.0.1:9/x.zip",
        "/dev/zero",
    ],
)
def test_a_readme_that_lists_files_outside_of_its_set_is_refused(hub: HubSource, tmp_path: Path, place: str) -> None:
    (tmp_path / "secret.csv").write_text("image\nsecret\n")
    listed = place.format(folder=tmp_path)
    text = f"---\nconfigs:\n- config_name: default\n  data_files: {listed}\n---\n"
    (tmp_path / "set" / "README.md").write_text(text)
    with pytest.raises(InputError, match=re.escape(f"its README lists {listed}, outside of the set: use another set")):
        list(HubPictures(hub, 1, (8, 8)))


@pytest.mark.parametrize("folder", ["{folder}/other", "../other"])
def test_a_readme_that_names_a_folder_outside_of_its_set_is_refused(
    hub: HubSource, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret.csv").write_text("image\nsecret\n")
    text = f"---\nconfigs:\n- config_name: default\n  data_dir: {folder.format(folder=tmp_path)}\n---\n"
    (tmp_path / "set" / "README.md").write_text(text)
    with pytest.raises(InputError, match=r"its README lists .*secret\.csv, outside of the set: use another set"):
        list(HubPictures(hub, 1, (8, 8)))


def test_a_readme_may_list_files_of_its_own_set(hub: HubSource, tmp_path: Path) -> None:
    text = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train/*.png\n---\n"
    (tmp_path / "set" / "README.md").write_text(text)
    assert len(list(HubPictures(hub, 2, (64, 64)))) == 2


@pytest.mark.parametrize(
    "place",
    [
        "OUTSIDE", "SET/../private.png", "file://OUTSIDE", "/dev/zero", "http://127.0.0.1:9/x.png", "ssh://someone/x.png",
        "reference://x::OUTSIDE", "simplecache::file://OUTSIDE", "zip://x.png::OUTSIDE", "zip://x::data:,x", "data:,x",
        "hf://datasets/somebody/else@main/x.png", "local://OUTSIDE", "SET/pipe", "",
    ],
)  # fmt: skip
def test_a_row_that_points_out_of_its_set_is_refused(hub: HubSource, tmp_path: Path, place: str) -> None:
    """A stranger's rows would have any file of this machine read, and any address asked."""
    fill(tmp_path, ["private.png"])
    os.mkfifo(Path(hub.name) / "pipe")
    place = place.replace("OUTSIDE", str(tmp_path / "private.png")).replace("SET", hub.name)
    with pytest.raises(InputError, match=r"a row's picture is .*, outside of the set: use another|no plain file"):
        picture_file(hub, {"image": {"bytes": None, "path": place}})


@pytest.mark.parametrize("named", ["someone/photos", "Someone/Photos", "photos"])
def test_a_row_of_the_hub_points_into_its_own_set(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(sources, "_opened", lambda place: opened.append(place) or io.BytesIO(b"x"))
    source = HubSource(name=named)
    good = ["hf://datasets/someone/photos@ab12/a/x.png", "zip://x/y.png::hf://datasets/someone/photos@ab12/a.zip"]
    for place in good:
        assert picture_file(source, {"image": {"bytes": None, "path": place}}) == b"x"
    for place in (
        "hf://datasets/someone/photos2@ab12/x.png",
        "hf://someone/photos@ab12/x.png",
        "hf://datasets/someone/photos@ab12/../../other@main/x.png",
        "reference://x::hf://datasets/someone/photos@ab12/a.json",
        "someone/photos/x.png",
    ):
        with pytest.raises(InputError, match="outside of the set"):
            picture_file(source, {"image": {"bytes": None, "path": place}})
    assert opened == good


def test_a_row_s_file_without_an_end_is_refused(hub: HubSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_BYTES", 10)
    place = str(next(Path(hub.name).rglob("*.png")))
    with pytest.raises(InputError, match=r"png has more than 0 MB: use another set"):
        picture_file(hub, {"image": {"bytes": None, "path": place}})


OFFLINE = [
    ("list(HubPictures(HubSource(name='someone/photos'), 1, (64, 64)))", "source: {kind: folder, path: ...}"),
    ("next(shuffled_rows(StreamSource(name='someone/photos'), 0))", "data.train: [FOLDER]"),
]


def test_offline_the_hub_source_says_how_to_give_a_folder() -> None:
    """In a process of its own: the hub's client reads HF_HUB_OFFLINE once, at its import."""
    code = (
        "from compress.data.sources import HubPictures, shuffled_rows\n"
        "from compress.recipe.calibration_set import HubSource\n"
        "from compress.recipe.train import StreamSource\n"
        "from compress.errors import InputError\n"
    )
    code += "".join(f"try: {read}\nexcept InputError as error: print(error)\n" for read, _ in OFFLINE)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
    )
    for line, (_, instead) in zip(done.stdout.splitlines(), OFFLINE, strict=True):
        assert line == (
            "someone/photos, split 'train': the hub data set cannot be read (HF_HUB_OFFLINE is set, so the Hub is not "
            f"asked): unset HF_HUB_OFFLINE, or give a local folder of pictures instead ({instead})"
        ), done.stderr
