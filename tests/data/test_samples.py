"""How bright a sample is follows from what the file declares, whatever Pillow's mode; what is open is refused."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from compress.data.picture import read_picture
from compress.data.samples import UnknownRange

SIDE = 16
RAMP = np.arange(256, dtype=np.uint8).reshape(SIDE, SIDE)
MINISWHITE, MINISBLACK = 0, 1
SMIN, SMAX = 340, 341


def tiff(values: np.ndarray, photometric: int = MINISBLACK, declared: tuple[float, float] | None = None) -> io.BytesIO:
    file = io.BytesIO()
    kind = {"f": 11, "u": 4, "i": 9}[values.dtype.kind]  # FLOAT, LONG, SLONG
    tags = [] if declared is None else [(t, kind, 1, v, True) for t, v in zip((SMIN, SMAX), declared, strict=True)]
    tifffile.imwrite(file, values, photometric=photometric, extratags=tags)
    return file


def read(file: io.BytesIO) -> np.ndarray:
    """(H, W) uint8 of a grey picture."""
    result = read_picture(file, "x.tif")
    assert result.grey and (result.rgb == result.rgb[..., :1]).all()
    return result.rgb[..., 0]


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize(
    "values",
    [RAMP, RAMP.astype(np.uint16) * 257, RAMP.astype(np.float32) / 255, RAMP.astype(np.uint32) * 16843009],
    ids=["u8", "u16", "f32", "u32"],
)
def test_a_ramp_is_a_ramp(values: np.ndarray, white_is_zero: bool) -> None:
    """0 is black and the full range white in each kind, or the other way round where the file says so."""
    if white_is_zero and values.dtype == np.uint32:
        return  # Pillow opens none
    result = read(tiff(values, MINISWHITE if white_is_zero else MINISBLACK))
    assert np.array_equal(result, 255 - RAMP if white_is_zero else RAMP)


def test_signed_integers_of_the_whole_range() -> None:
    values = (RAMP.astype(np.int64) * (2**31 - 1) // 255).astype(np.int32)
    assert np.array_equal(read(tiff(values)), RAMP)


def test_twelve_bits_of_a_tiff_are_twelve_bits() -> None:
    """Packed, 3 bytes for 2 samples."""
    samples = (RAMP.astype(np.uint32) * 4095 // 255).reshape(-1, 2)
    first, second = samples.T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8)
    file = io.BytesIO()
    tifffile.imwrite(file, RAMP, photometric=MINISBLACK, metadata=None)
    data = bytearray(file.getvalue())
    file.seek(0)
    with tifffile.TiffFile(file) as opened:
        page = opened.pages[0]
        bits, count, offset = (page.tags[name] for name in ("BitsPerSample", "StripByteCounts", "StripOffsets"))
    data[bits.valueoffset : bits.valueoffset + 2] = (12).to_bytes(2, "little")
    data[count.valueoffset : count.valueoffset + 2] = packed.size.to_bytes(2, "little")
    data[offset.valueoffset : offset.valueoffset + 4] = len(data).to_bytes(4, "little")
    result = read(io.BytesIO(bytes(data) + packed.tobytes()))
    assert np.abs(result.astype(int) - RAMP).max() <= 1


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint32, np.int16])
def test_declared_range_is_taken(kind: type) -> None:
    values = (RAMP.astype(np.float64) * 4).astype(kind)
    result = read_picture(tiff(values, declared=(0, 1020)), "x.tif")
    assert np.array_equal(result.rgb[..., 0], RAMP)
    assert "samples from 0 to 1020, as it declares" in result.notes[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (RAMP.astype(np.float32), "32-bit floating-point samples from 0 to 255"),
        (RAMP.astype(np.int32), "32-bit signed integer samples from 0 to 255"),
        (RAMP.astype(np.uint32), "32-bit unsigned integer samples from 0 to 255"),
        (RAMP.astype(np.int32) * 257, "32-bit signed integer samples from 0 to 65535"),
        (RAMP.astype(np.int16) - 128, "16-bit signed integer samples from -128 to 127"),
        (RAMP.view(np.int8), "8-bit signed integer samples from -128 to 127"),
        (RAMP.astype(np.float32) / 255 - 0.5, "32-bit floating-point samples from -0.5 to 0.5"),
    ],
)
def test_ambiguous_ranges_are_refused_with_their_values(values: np.ndarray, message: str) -> None:
    with pytest.raises(UnknownRange) as error:
        read(tiff(values))
    assert f"x.tif: {message}, and it does not declare what white is" in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers_are_refused(value: float) -> None:
    values = RAMP.astype(np.float32) / 255
    values[3, 4] = value
    with pytest.raises(UnknownRange, match=r"with NaN or infinite values"), warnings.catch_warnings(action="error"):
        read(tiff(values))


def test_overshoot_of_floats_is_clipped() -> None:
    values = np.linspace(-0.05, 1.05, 256, dtype=np.float32).reshape(SIDE, SIDE)
    assert np.array_equal(read(tiff(values)), (values.clip(0, 1) * 255).round().astype(np.uint8))


def test_dark_sixteen_bits_are_reported(tmp_path: Path) -> None:
    Image.fromarray(RAMP.astype(np.uint16) * 16).save(tmp_path / "x.png")
    result = read_picture(tmp_path / "x.png")
    assert result.notes == (
        "its brightest sample is 4080 of 65535: dark, unless it was saved without scaling it to 16 bits",
    )
    assert result.rgb.max() == 16


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"]),
    low=st.floats(-1e5, 1e5, width=32),
    span=st.sampled_from([0, 0.3, 1, 200, 255, 4095, 65535, 1e9]),
    photometric=st.sampled_from([MINISWHITE, MINISBLACK]),
)
def test_a_grey_tiff_is_monotonous_or_refused(kind: str, low: float, span: float, photometric: int) -> None:
    """Never black or white all over where its samples differ much, never out of order."""
    from compress.errors import InputError

    with np.errstate(all="ignore"):
        values = (low + RAMP / 255 * span).astype(kind)
    try:
        result = read(tiff(values, photometric)).astype(int)
    except InputError as error:
        assert str(error).startswith("x.tif: ")
        return
    order = np.argsort(values, axis=None, kind="stable")
    steps = np.diff(result.ravel()[order])
    assert (steps <= 0).all() if photometric == MINISWHITE else (steps >= 0).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_of_eight_bits_or_less(mode: str) -> None:
    """Uniform colours survive, but for the rounding of their colour space."""
    colour = Image.new("RGB", (9, 5), (180, 180, 180))
    image = Image.fromarray(np.full((5, 9), 180 * 257, np.uint16)) if mode == "I;16" else _as(colour, mode)
    file = io.BytesIO()
    image.save(file, "TIFF")
    result = read_picture(file, "x").rgb
    assert result.shape == (5, 9, 3)
    if mode != "1":
        assert np.abs(result.astype(int) - 180).max() <= 2


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image.quantize(4) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("colours", [1, 3])
def test_colours_multiplied_by_alpha_are_divided(colours: int) -> None:
    """Half transparent white is stored as half grey."""
    values = np.full((5, 9, colours + 1), 128, np.uint8)
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric=MINISBLACK if colours == 1 else 2, extrasamples=[1])
    result = read_picture(file, "x")
    assert result.alpha is not None and (result.alpha == 128).all()
    assert (result.rgb == 255).all()
