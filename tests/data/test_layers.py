"""Every kind of picture keeps what it is: transparency, greyness, orientation, profile, frames."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from compress.data.layers import FORMATS, MAX_SIDE, check_holds, check_holds_frames, composed, save_frames, save_layers
from compress.data.metadata import Metadata
from compress.data.picture import Picture, read_frames, read_picture
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
    layers = read_picture(path)
    save_layers(doubled(layers.rgb), layers, tmp_path / "out.png")
    wanted = {"P": "RGB", "CMYK": "RGB", "1": "L"}.get(mode, mode)
    with Image.open(tmp_path / "out.png") as out:
        assert (out.mode, out.size) == (wanted, (100, 80))


def test_transparency_is_enlarged_and_put_back(photo: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(photo[:32, :32])
    alpha = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1))
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "in.png")
    layers = read_picture(tmp_path / "in.png")
    assert np.array_equal(layers.rgb[:, 1:], photo[:32, 1:32])  # the first column cannot be seen
    save_layers(doubled(layers.rgb), layers, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        restored = np.asarray(out.getchannel("A")).astype(int)
    assert np.abs(restored[::2, ::2] - alpha).max() < 8
    save_layers(doubled(layers.rgb), layers, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.mode == "RGB"


def test_palette_transparency(photo: np.ndarray, tmp_path: Path) -> None:
    saved(photo[:32, :32], tmp_path / "in.png", "P", transparency=0)
    layers = read_picture(tmp_path / "in.png")
    assert layers.alpha is not None
    assert set(np.unique(layers.alpha)) <= {0, 255}


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "in.png")
    layers = read_picture(tmp_path / "in.png")
    assert layers.grey
    assert np.abs(layers.rgb[..., 0].astype(float) - values / 257).max() <= 0.5


def test_orientation_is_applied_to_colours_and_transparency(photo: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(photo[:20, :30])
    image.putalpha(128)
    image.save(tmp_path / "in.png", exif=exif)
    layers = read_picture(tmp_path / "in.png")
    assert layers.rgb.shape == (30, 20, 3)
    assert layers.alpha is not None and layers.alpha.shape == (30, 20)


def test_profile_is_kept_where_it_fits(photo: np.ndarray, tmp_path: Path) -> None:
    saved(photo[:32, :32], tmp_path / "in.png", "RGB", icc_profile=PROFILE)
    saved(photo[:32, :32], tmp_path / "cmyk.tif", "CMYK", icc_profile=PROFILE[:16] + b"CMYK" + PROFILE[20:])
    for name, wanted in (("in.png", PROFILE), ("cmyk.tif", None)):
        layers = read_picture(tmp_path / name)
        save_layers(layers.rgb, layers, tmp_path / "out.png")
        with Image.open(tmp_path / "out.png") as out:
            assert out.info.get("icc_profile") == wanted


def test_empty_and_damaged_files(photo: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty\.png: not a readable picture \(the file is empty\)"):
        read_picture(tmp_path / "empty.png")
    whole = saved(photo, tmp_path / "in.png", "RGB").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.png: not a readable picture"):
        read_picture(tmp_path / "cut.png")


def test_more_pixels_than_the_limit(photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(photo, tmp_path / "in.png", "RGB")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"in\.png: more than 0 million pixels: cut it into smaller pictures"):
        read_picture(path)


def test_unknown_output_format(photo: np.ndarray, tmp_path: Path) -> None:
    layers = read_picture(saved(photo[:8, :8], tmp_path / "in.png", "RGB"))
    with pytest.raises(InputError, match=r"out\.xyz: pictures are not written as \.xyz: use one of \.png, "):
        save_layers(layers.rgb, layers, tmp_path / "out.xyz")
    assert not (tmp_path / "out.xyz").exists()


# --- transparency without a place ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
@pytest.mark.parametrize("hidden", [0, 90])
def test_transparency_is_laid_onto_white(tmp_path: Path, suffix: str, hidden: int) -> None:
    rgb = np.full((32, 32, 3), hidden, np.uint8)
    alpha = np.zeros((32, 32), np.uint8)
    rgb[:, :16], alpha[:, :16] = 200, 255
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "in.png")
    given = read_picture(tmp_path / "in.png")
    notes = save_layers(doubled(given.rgb), given, tmp_path / f"out{suffix}")
    assert notes == [f"transparency laid onto white: {suffix} has none"]
    result = read_picture(tmp_path / f"out{suffix}").rgb.astype(int)
    assert np.abs(result[:, :24] - 200).max() <= 4
    assert np.abs(result[:, 40:] - 255).max() <= 4


# --- what formats hold -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", sorted(MAX_SIDE))
def test_the_longest_side_of_a_format(tmp_path: Path, format: str) -> None:
    """Written and read at the limit, refused one beyond, which Pillow or its reader cannot do either."""
    suffix = next(s for s, name in FORMATS.items() if name == format)
    side, thin = MAX_SIDE[format], 16 if format == "AVIF" else 1
    picture = Picture(np.zeros((1, 1, 3), np.uint8), None, True, "", Metadata())
    save_layers(np.zeros((thin, side, 3), np.uint8), picture, tmp_path / f"x{suffix}")
    assert read_picture(tmp_path / f"x{suffix}").rgb.shape == (thin, side, 3)
    for width, height in ((side + 1, 1), (1, side + 1)):
        with pytest.raises(InputError, match=f"{width} x {height} px, {format} ends at {side} px a side: write .png"):
            check_holds(tmp_path / f"x{suffix}", width, height)


def test_most_pixels_of_a_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"TIFF ends at \d+ million pixels: write \.png"):
        check_holds(tmp_path / "x.tif", 40000, 40000)
    check_holds(tmp_path / "x.png", 40000, 40000)


def test_an_encoder_that_fails_is_not_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MAX_SIDE, "WEBP", 99999)
    picture = Picture(np.zeros((1, 1, 3), np.uint8), None, True, "", Metadata())
    with pytest.raises(InputError, match=r"x\.webp: cannot be written as WEBP \(.*16383 pixels\): use \.png"):
        save_layers(np.zeros((1, 16384, 3), np.uint8), picture, tmp_path / "x.webp")
    assert list(tmp_path.iterdir()) == []


# --- frames ----------------------------------------------------------------------------------------------------

GREYS = (40, 90, 140, 190)
DURATIONS = [100, 200, 300, 400]


def animation(path: Path, **options: object) -> Path:
    frames = [Image.new("RGB", (24, 16), (grey, 60, 250 - grey)) for grey in GREYS]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


@pytest.mark.parametrize("target", [".png", ".webp", ".gif", ".tif", ".avif"])
@pytest.mark.parametrize("source", [".png", ".webp", ".gif", ".tif"])
def test_frames_go_from_format_to_format(tmp_path: Path, source: str, target: str) -> None:
    options = {} if source == ".tif" else {"duration": DURATIONS, "loop": 0}
    given = list(read_frames(animation(tmp_path / f"in{source}", **options)))
    assert [picture.frames for picture in given] == [4] * 4
    save_frames([composed(doubled(p.rgb), p) for p in given], given, tmp_path / f"out{target}")
    result = list(read_frames(tmp_path / f"out{target}"))
    assert [p.rgb.shape for p in result] == [(32, 48, 3)] * 4
    assert [p.rgb[..., 0].mean() for p in result] == pytest.approx(GREYS, abs=12)
    if ".tif" not in (source, target):
        assert [p.duration for p in result] == pytest.approx(DURATIONS, abs=10)
        assert target == ".avif" or result[0].loop == 0


@pytest.mark.parametrize("target", [".png", ".webp", ".gif", ".tif", ".avif"])
@pytest.mark.parametrize("source", [".png", ".gif", ".tif", ".avif"])
def test_each_frame_keeps_its_transparency(tmp_path: Path, photo: np.ndarray, source: str, target: str) -> None:
    """A curtain that opens: a quarter of the picture can be seen at first, then a half, three quarters, all."""
    columns = np.indices((40, 60))[1]
    alphas = [np.where(columns < 15 * (i + 1), 255, 0).astype(np.uint8) for i in range(4)]
    frames = [Image.fromarray(np.dstack([photo[:40, :60], alpha])) for alpha in alphas]
    options = {".gif": {"disposal": 2, "duration": 50}, ".tif": {}}.get(source, {"duration": 50})
    frames[0].save(tmp_path / f"in{source}", save_all=True, append_images=frames[1:], **options)
    given = list(read_frames(tmp_path / f"in{source}"))
    save_frames([composed(p.rgb, p) for p in given], given, tmp_path / f"out{target}")
    for result in (given, list(read_frames(tmp_path / f"out{target}"))):
        seen = [p.alpha > 127 if p.alpha is not None else np.ones((40, 60), bool) for p in result]
        assert [round(s.mean(), 2) for s in seen] == [0.25, 0.5, 0.75, 1]


def test_an_animation_that_runs_once_runs_once(tmp_path: Path) -> None:
    given = list(read_frames(animation(tmp_path / "in.gif", duration=100)))
    assert given[0].loop is None
    save_frames([composed(p.rgb, p) for p in given], given, tmp_path / "out.gif")
    save_frames([composed(p.rgb, p) for p in given], given, tmp_path / "out.webp")
    assert [next(read_frames(tmp_path / f"out.{s}")).loop for s in ("gif", "webp")] == [None, 1]


def test_formats_without_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"out\.jpg: 4 frames, JPEG holds one: use \.png, .*, or restore the first alone"
    ):
        check_holds_frames(tmp_path / "out.jpg", [(8, 8)] * 4)
    with pytest.raises(InputError, match=r"out\.png: frames of 2 sizes, an animation has one: write \.tif"):
        check_holds_frames(tmp_path / "out.png", [(8, 8), (9, 8)])
    check_holds_frames(tmp_path / "out.tif", [(8, 8), (9, 8)])


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with Image.open(path) as image:
        image.seek(2)
        offset = image.tag_v2[273][0]
    path.write_bytes(path.read_bytes()[: offset + 100])
    with pytest.raises(InputError, match=r"in\.tif"):
        list(read_frames(path))
