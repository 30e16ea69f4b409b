"""Every kind of picture that a training folder may hold, as a file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from compress.data.census import Census
from compress.data.sets import pixels_sha256


@pytest.fixture()
def picture(photo: np.ndarray) -> np.ndarray:
    return photo[:64, :96]


def grey(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).convert("L"))


def mode(name: str, suffix: str = "png") -> Callable[[np.ndarray, Path], str]:
    def save(picture: np.ndarray, folder: Path) -> str:
        Image.fromarray(picture).convert(name).save(folder / f"x.{suffix}", quality=95)
        return f"x.{suffix}"

    return save


def turned(picture: np.ndarray, folder: Path) -> str:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    Image.fromarray(np.rot90(picture)).save(folder / "x.png", exif=exif)
    return "x.png"


def grey_16(picture: np.ndarray, folder: Path) -> str:
    Image.fromarray(grey(picture).astype(np.uint16) * 257).save(folder / "x.png")
    return "x.png"


def colour_16(picture: np.ndarray, folder: Path) -> str:
    tifffile.imwrite(folder / "x.tif", picture.astype(np.uint16) * 257, photometric="rgb")
    return "x.tif"


CASES = [
    (mode("RGB"), "", 0),
    (mode("L"), "grey", "grey"),
    (mode("1"), "black and white", None),
    (mode("LA"), "grey with alpha", "grey"),
    (mode("P"), "palette", 40),
    (mode("RGBA"), "transparent", 0),
    (mode("CMYK", "tif"), "CMYK", 0),
    (mode("CMYK", "jpg"), "CMYK", 6),
    (grey_16, "16-bit", "grey"),
    (colour_16, "16-bit", 0),
    (turned, "turned", 0),
]


@pytest.mark.parametrize(
    ("save", "kind", "near"), CASES, ids=[f"{case[1] or 'RGB'}-{i}" for i, case in enumerate(CASES)]
)
def test_kinds_come_out_right(
    picture: np.ndarray, tmp_path: Path, save: Callable[[np.ndarray, Path], str], kind: str, near: int | str | None
) -> None:
    """``near``: mean error that the format's own loss explains, 0 for none; grey: the picture's luma, exactly."""
    census = Census()
    taken = census.take(tmp_path / save(picture, tmp_path), "x", 64)
    assert taken is not None and taken.shape == picture.shape and taken.dtype == np.uint8
    assert census.converted == ({kind: 1} if kind else {})
    if near == "grey":
        assert np.array_equal(taken, np.repeat(grey(picture)[..., None], 3, axis=2))
    elif near is not None:
        assert np.abs(taken.astype(int) - picture).mean() <= near


def test_skipped_for_what(picture: np.ndarray, tmp_path: Path) -> None:
    census = Census()
    files = {name: tmp_path / name for name in ("small.png", "cut.png", "held.png", "float.tif", "good.png")}
    Image.fromarray(picture[:40]).save(files["small.png"])
    Image.fromarray(picture).save(files["good.png"])
    files["cut.png"].write_bytes(files["good.png"].read_bytes()[:2000])
    Image.fromarray(picture[::-1].copy()).save(files["held.png"])
    tifffile.imwrite(files["float.tif"], grey(picture).astype(np.float32))
    held_back = {pixels_sha256(picture[::-1].copy())}
    taken = {name for name, path in files.items() if census.take(path, name, 64, held_back) is not None}
    assert taken == {"good.png"}
    assert census.in_words == (
        "1 read; 4 skipped (1 under 64 px: small.png, 1 unreadable: cut.png, 1 of the validation set: held.png, "
        "1 of unknown range: float.tif)"
    )


def test_words(picture: np.ndarray, tmp_path: Path) -> None:
    census = Census()
    assert (census.in_words, census.in_short) == ("0 read", "")
    for i, save in enumerate((mode("L"), mode("CMYK", "tif"), mode("L"), mode("RGB"))):
        census.take(tmp_path / save(picture, tmp_path), f"{i}", 64)
    assert (census.in_words, census.in_short) == ("4 read; 3 converted (2 grey, 1 CMYK)", "3 converted")
    for i in range(2):
        census.take(tmp_path / "none.png", f"gone{i}", 64)
    assert census.in_words == "4 read; 3 converted (2 grey, 1 CMYK), 2 skipped (2 unreadable, first: gone0)"
    assert census.in_short == "3 converted, 2 skipped"
