import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.data.pictures import find_pictures, open_rgb, read_rgb, to_float, to_uint8
from compress.errors import InputError


def test_png_is_read_as_it_is(tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo).save(tmp_path / "a.png")
    assert (read_rgb(tmp_path / "a.png") == photo).all()


def test_exif_rotation_is_applied(tmp_path: Path, photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees, clockwise
    Image.fromarray(photo[:64, :128]).save(tmp_path / "a.png", exif=exif)
    assert (read_rgb(tmp_path / "a.png") == np.rot90(photo[:64, :128], -1)).all()


def test_grey_is_widened(tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo[..., 0]).save(tmp_path / "a.png")
    assert (read_rgb(tmp_path / "a.png") == photo[..., :1]).all()


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    assert np.abs(read_rgb(tmp_path / "a.png")[..., 0] - ramp / 257).max() <= 0.5


def test_alpha_is_dropped(tmp_path: Path, photo: np.ndarray) -> None:
    rgba = np.dstack([photo, np.zeros(photo.shape[:2], np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert (read_rgb(tmp_path / "a.png") == photo).all()


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "the file is empty"), (b"not a picture", "cannot identify image file")],
)
def test_unreadable_pictures_are_named(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.png: not a readable picture \({why}.*: replace or remove it$"):
        open_rgb(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_truncated_pictures_are_refused_in_one_line(tmp_path: Path, photo: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(photo).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with warnings.catch_warnings(action="error"), pytest.raises(InputError) as caught:
        open_rgb(path)
    assert "\n" not in str(caught.value)
    assert "not a readable picture" in str(caught.value)


def test_missing_picture_and_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png: no such picture: check the path"):
        open_rgb(tmp_path / "gone.png")
    with pytest.raises(InputError, match="is a folder, not a picture: name a file in it"):
        open_rgb(tmp_path)


def test_find_pictures_is_recursive_sorted_and_by_suffix(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "deep/c.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    result = [str(path.relative_to(tmp_path)) for path in find_pictures(tmp_path)]
    assert result == ["a.jpg", "b.PNG", "deep/c.webp"]
    missing = tmp_path / "none"
    with pytest.raises(InputError, match=re.escape(f"{missing}: no such folder of pictures: check the path")):
        find_pictures(missing)


def test_to_float_and_back(photo: np.ndarray) -> None:
    batch = to_float([photo, photo[::-1]])
    assert batch.shape == (2, 3, 256, 256) and batch.dtype == np.float32
    assert batch[0, 1, 2, 3] == np.float32(photo[2, 3, 1]) / 255
    assert (to_uint8(batch[1]) == photo[::-1]).all()


def test_to_uint8_clips_and_rounds_half_up() -> None:
    values = np.array([-0.2, 0.4999 / 255, 0.5 / 255, 1.0, 1.7]).reshape(1, 1, 5).repeat(3, 0)
    assert to_uint8(values)[0, :, 0].tolist() == [0, 0, 1, 255, 255]
