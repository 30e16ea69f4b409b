"""What a picture says beside its pixels goes where the target format has a place for it, and never fails."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from compress.data.layers import FORMATS, save_layers
from compress.data.metadata import EXIF_IFD, GPS_IFD, HOLDS, Metadata, exif_block, save_options
from compress.data.picture import Picture, read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="T"/></x:xmpmeta>'
DATE, MAKER, DESCRIPTION = "2020:01:02 03:04:05", "maker", "a scan"
SUFFIXES = {name: suffix for suffix, name in FORMATS.items()}


def source(folder: Path, suffix: str) -> Path:
    """A turned picture with everything in it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x010F] = 6, DESCRIPTION, MAKER
    exif[EXIF_IFD] = {0x9003: DATE, 0xA002: 16, 0xA003: 12}
    exif[GPS_IFD] = {1: "N", 2: (1.0, 2.0, 3.0)}
    options = {"exif": exif.tobytes(), "icc_profile": PROFILE, "dpi": (300, 300)}
    if suffix == ".tif":
        exif[700] = XMP
        options["exif"] = exif.tobytes()
    else:
        options["xmp"] = XMP
    if suffix == ".png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add_text("Title", "a title")
        options["pnginfo"] = info
    Image.fromarray(PIXELS).save(folder / f"in{suffix}", **options)
    return folder / f"in{suffix}"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("format", sorted(HOLDS))
def test_what_a_format_holds_is_kept(tmp_path: Path, suffix: str, format: str) -> None:
    given = read_picture(source(tmp_path, suffix))
    assert given.rgb.shape == (16, 12, 3)
    out = tmp_path / f"out{SUFFIXES[format]}"
    assert save_layers(given.rgb, given, out) == []
    result, holds = read_picture(out), HOLDS[format]
    # Not turned again, by EXIF or by XMP.
    assert result.rgb.shape == (16, 12, 3) and result.kind != "turned"
    exif = result.metadata.exif
    if "exif" in holds:
        assert (exif[0][0x010E], exif[0][0x010F]) == (DESCRIPTION, MAKER)
        assert exif[EXIF_IFD][0x9003] == DATE and exif[GPS_IFD][1] == "N"
        # The source's sides are not this picture's.
        assert not {0xA002, 0xA003} & exif[EXIF_IFD].keys()
    else:
        assert not exif
    assert (result.metadata.profile == PROFILE) == ("profile" in holds)
    assert (b"dc:title" in (result.metadata.xmp or b"")) == ("xmp" in holds)
    assert b"tiff:Orientation" not in (result.metadata.xmp or b"")
    if "dpi" in holds and suffix != ".webp":
        assert result.metadata.dpi == pytest.approx((300, 300), abs=0.1)
    if format == suffix[1:].upper() == "PNG":
        assert result.metadata.texts["Title"] == "a title"


def test_resolution_goes_into_exif_where_a_format_has_no_field(tmp_path: Path) -> None:
    given = read_picture(source(tmp_path, ".png"))
    save_layers(given.rgb, given, tmp_path / "out.webp")
    assert float(read_picture(tmp_path / "out.webp").metadata.exif[0][282]) == pytest.approx(300, abs=0.1)


def test_resolution_that_nobody_gave_is_not_written(tmp_path: Path) -> None:
    for suffix in (".jpg", ".tif", ".png"):
        Image.fromarray(PIXELS).save(tmp_path / f"x{suffix}", exif=exif_block({0: {271: MAKER}}))
        given = read_picture(tmp_path / f"x{suffix}")
        assert given.metadata.dpi is None
        save_layers(given.rgb, given, tmp_path / "out.png")
        with Image.open(tmp_path / "out.png") as out:
            assert "dpi" not in out.info


def test_a_comment_goes_along(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "in.jpg", comment="said")
    for name in ("out.png", "out.jpg", "out.gif"):
        given = read_picture(tmp_path / "in.jpg")
        save_layers(given.rgb, given, tmp_path / name)
        assert read_picture(tmp_path / name).metadata.texts["Comment"] == "said"


def test_more_than_a_format_holds_is_left_out_with_a_word(tmp_path: Path) -> None:
    """JPEG: 64 KB of EXIF, as much of XMP. Everything else is kept."""
    given = Metadata({0: {0x010E: "x" * 70000}}, b"y" * 70000, PROFILE, (300, 300))
    picture = Picture(PIXELS, None, False, "", given)
    assert save_layers(PIXELS, picture, tmp_path / "out.jpg") == ["left out, JPEG cannot hold it: XMP, EXIF"]
    result = read_picture(tmp_path / "out.jpg").metadata
    assert (result.profile, result.dpi) == (PROFILE, (300, 300))
    assert save_layers(PIXELS, picture, tmp_path / "out.png") == []


VALUES = st.one_of(
    st.integers(-(2**33), 2**33), st.text(max_size=9), st.binary(max_size=9), st.floats(), st.none(),
    st.lists(st.integers(0, 300), max_size=3).map(tuple), st.lists(st.floats(), max_size=3).map(tuple),
)  # fmt: skip
TEXT = st.text(max_size=90)


@settings(max_examples=60)
@given(
    tags=st.dictionaries(st.sampled_from([270, 271, 282, 296, 306, 315, 40091]), VALUES, max_size=3),
    xmp=st.none() | st.binary(max_size=20),
    profile=st.none() | st.binary(min_size=128, max_size=140),
    dpi=st.none() | st.tuples(st.floats(1, 65535), st.floats(1, 65535)),
    texts=st.dictionaries(TEXT, TEXT, max_size=2),
    format=st.sampled_from(sorted(set(HOLDS) - {"AVIF"})),
    mode=st.sampled_from(["L", "RGB", "RGBA"]),
)
def test_whatever_is_given_a_picture_is_written(
    tags: dict, xmp: bytes | None, profile: bytes | None, dpi: tuple | None, texts: dict, format: str, mode: str
) -> None:
    mode = mode.removesuffix("A") if format in ("JPEG", "BMP") else mode
    profile = profile and profile[:16] + {"L": b"GRAY"}.get(mode, b"RGB ") + profile[20:]
    options, _ = save_options(Metadata({0: tags} if tags else {}, xmp, profile, dpi, texts), format, mode)
    file = io.BytesIO()
    Image.new(mode, (20, 9)).save(file, format, **options)
    assert read_picture(file, "x").rgb.shape == (9, 20, 3)
