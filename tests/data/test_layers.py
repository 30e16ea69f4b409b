"""Every kind of picture keeps what it is: transparency, greyness, orientation, profile."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from compress.data.layers import open_layers, save_layers
from compress.errors import InputError

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def doubled(rgb: np.ndarray) -> np.ndarray:
    return rgb.repeat(2, 0).repeat(2, 1)


def saved(photo: np.ndarray, path: Path, mode: str, **options: object) -> Path:
    Image.fromarray(photo).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "RGBA", "LA"])
def test_modes(photo: np.ndarray, tmp_path: Path, mode: str) -> None:
    path = saved(photo[:40, :50], tmp_path / ("in.tif" if mode == "CMYK" else "in.png"), mode)
    layers = open_layers(path)
    save_layers(doubled(layers.rgb), layers, tmp_path / "out.png")
    wanted = {"P": "RGB", "CMYK": "RGB", "1": "L"}.get(mode, mode)
    with Image.open(tmp_path / "out.png") as out:
        assert (out.mode, out.size) == (wanted, (100, 80))


def test_transparency_is_enlarged_and_put_back(photo: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(photo[:32, :32])
    alpha = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1))
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "in.png")
    layers = open_layers(tmp_path / "in.png")
    assert np.array_equal(layers.rgb, photo[:32, :32])
    save_layers(doubled(layers.rgb), layers, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        restored = np.asarray(out.getchannel("A")).astype(int)
    assert np.abs(restored[::2, ::2] - alpha).max() < 8
    save_layers(doubled(layers.rgb), layers, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.mode == "RGB"


def test_palette_transparency(photo: np.ndarray, tmp_path: Path) -> None:
    saved(photo[:32, :32], tmp_path / "in.png", "P", transparency=0)
    layers = open_layers(tmp_path / "in.png")
    assert layers.alpha is not None
    assert set(np.unique(layers.alpha)) <= {0, 255}


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "in.png")
    layers = open_layers(tmp_path / "in.png")
    assert layers.grey
    assert np.abs(layers.rgb[..., 0].astype(float) - values / 257).max() <= 0.5


def test_orientation_is_applied_to_colours_and_transparency(photo: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(photo[:20, :30])
    image.putalpha(128)
    image.save(tmp_path / "in.png", exif=exif)
    layers = open_layers(tmp_path / "in.png")
    assert layers.rgb.shape == (30, 20, 3)
    assert layers.alpha is not None and layers.alpha.shape == (30, 20)


def test_profile_is_kept_where_it_fits(photo: np.ndarray, tmp_path: Path) -> None:
    saved(photo[:32, :32], tmp_path / "in.png", "RGB", icc_profile=PROFILE)
    saved(photo[:32, :32], tmp_path / "cmyk.tif", "CMYK", icc_profile=PROFILE[:16] + b"CMYK" + PROFILE[20:])
    for name, wanted in (("in.png", PROFILE), ("cmyk.tif", None)):
        layers = open_layers(tmp_path / name)
        save_layers(layers.rgb, layers, tmp_path / "out.png")
        with Image.open(tmp_path / "out.png") as out:
            assert out.info.get("icc_profile") == wanted


def test_empty_and_damaged_files(photo: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty\.png: not a readable picture \(the file is empty\)"):
        open_layers(tmp_path / "empty.png")
    whole = saved(photo, tmp_path / "in.png", "RGB").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.png: not a readable picture"):
        open_layers(tmp_path / "cut.png")


def test_more_pixels_than_the_limit(photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(photo, tmp_path / "in.png", "RGB")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"in\.png: more than 0 million pixels: cut it into smaller pictures"):
        open_layers(path)


def test_unknown_output_format(photo: np.ndarray, tmp_path: Path) -> None:
    layers = open_layers(saved(photo[:8, :8], tmp_path / "in.png", "RGB"))
    with pytest.raises(InputError, match=r"out\.gif: pictures are not written as \.gif: use one of \.png, "):
        save_layers(layers.rgb, layers, tmp_path / "out.gif")
    assert not (tmp_path / "out.gif").exists()
