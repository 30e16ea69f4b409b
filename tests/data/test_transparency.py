"""What lies hidden under full transparency has no influence on anything."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from compress.data import transparency
from compress.data.picture import read_picture
from compress.data.transparency import REACH, bleed

ALPHA = arrays(np.uint8, (9, 7), elements=st.sampled_from([0, 0, 1, 128, 255]))
RGB = arrays(np.uint8, (9, 7, 3))


@settings(max_examples=60)
@given(rgb=RGB, other=RGB, alpha=ALPHA)
def test_hidden_colours_do_not_matter(rgb: np.ndarray, other: np.ndarray, alpha: np.ndarray) -> None:
    hidden = alpha == 0
    if hidden.all():
        assert np.array_equal(bleed(rgb, alpha), rgb)
        return
    changed = np.where(hidden[..., None], other, rgb)
    result = bleed(rgb, alpha)
    assert np.array_equal(result, bleed(changed, alpha))
    assert np.array_equal(result[~hidden], rgb[~hidden])
    # Every colour is one that can be seen.
    seen = {tuple(colour) for colour in rgb[~hidden]}
    assert {tuple(colour) for colour in result.reshape(-1, 3)} <= seen


def test_strips_do_not_show(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (300, 40, 3), dtype=np.uint8)
    alpha = np.where(rng.random((300, 40)) < 0.002, 255, 0).astype(np.uint8)
    alpha[:100] = 0
    whole = bleed(rgb, alpha)
    monkeypatch.setattr(transparency, "_STRIP", 16)
    result = bleed(rgb, alpha)
    # Pixels as near to two visible ones may take either.
    assert (result != whole).any(-1).mean() < 0.01


def test_far_from_all_that_is_visible_lies_the_mean() -> None:
    rgb = np.zeros((10, REACH + 40, 3), np.uint8)
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    rgb[:, 0], rgb[:, 1], alpha[:, :2] = 100, 200, 255
    result = bleed(rgb, alpha)[0, :, 0]
    assert (result[1 : REACH + 2] == 200).all() and (result[REACH + 2 :] == 150).all()


def test_a_sprite_reads_the_same_whatever_it_hides(tmp_path, photo: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    y, x = np.mgrid[:48, :48]
    alpha = np.where((y - 24) ** 2 + (x - 24) ** 2 < 300, 255, 0).astype(np.uint8)
    read = []
    for name, colour in (("black", 0), ("white", 255)):
        rgb = np.where(alpha[..., None] > 0, photo[:48, :48], np.uint8(colour))
        Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / f"{name}.png")
        read.append(read_picture(tmp_path / f"{name}.png"))
    assert np.array_equal(read[0].rgb, read[1].rgb)
    assert np.array_equal(read[0].alpha, alpha)


def png(path: Path, bits: int, colour: int, key: tuple[int, ...], rows: np.ndarray) -> None:
    """A PNG of ``rows`` (H, bytes) uint8 with the transparent value ``key``; ``colour``: 0 grey, 2 RGB."""
    side = len(rows)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0),
        b"tRNS": struct.pack(f">{len(key)}H", *key),
        b"IDAT": zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes()),
        b"IEND": b"",
    }
    made = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks.items()]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(made))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_found_in_any_number_of_bits(bits: int, tmp_path: Path) -> None:
    values = np.arange(256).reshape(16, 16) * (2**bits - 1) // 255
    digits = (values[..., None] >> np.arange(bits)[::-1] & 1).reshape(16, -1).astype(np.uint8)
    for key in {0, 1, 2**bits - 1}:
        png(tmp_path / "key.png", bits, 0, (key,), np.packbits(digits, axis=1))
        alpha = read_picture(tmp_path / "key.png").alpha
        assert alpha is not None and np.array_equal(alpha == 0, values == key)


def test_a_transparent_colour_of_16_bits_is_said_to_be_lost(tmp_path: Path) -> None:
    png(tmp_path / "8.png", 8, 2, (1, 1, 1), np.ones((8, 8 * 3), np.uint8))
    png(tmp_path / "16.png", 16, 2, (257, 257, 257), np.ones((8, 8 * 6), np.uint8))
    alpha = read_picture(tmp_path / "8.png").alpha
    assert alpha is not None and not alpha.any()
    picture = read_picture(tmp_path / "16.png")
    assert picture.alpha is None and (picture.rgb == 1).all()
    assert picture.notes == (
        "transparent colour (257, 257, 257) of 16-bit samples is left opaque: give the file an alpha channel",
    )
