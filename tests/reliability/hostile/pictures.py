"""Pictures: every mode, one pixel, animated, turned, with profiles, cut, flipped, and bombs."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.reliability.base import Base
from tests.reliability.hostile.strategies import damaged_bytes

SIDE = 24


def strategy(base: Base) -> st.SearchStrategy[Any]:
    """(suffix, bytes, command)."""
    good = [(suffix, make()) for suffix, make in MAKERS]
    whole = st.sampled_from(good)
    broken = whole.flatmap(lambda item: st.tuples(st.just(item[0]), damaged_bytes(item[1])))
    misnamed = st.tuples(st.sampled_from([".png", ".jpg", ".tif", ".webp", ".bmp"]), whole.map(lambda item: item[1]))
    command = st.sampled_from(["restore", "restore", "evaluate", "calibration"])
    return st.tuples(st.one_of(whole, broken, broken, misnamed), command)


def prepare(base: Base, example: Any, folder: Path) -> Sequence[str]:
    """Write the picture, and have it restored, measured, or calibrated on."""
    (suffix, data), what = example
    pictures = folder / "pictures"
    pictures.mkdir()
    path = pictures / f"hostile{suffix}"
    path.write_bytes(data)
    if what == "restore":
        return ["restore", str(base.checkpoint), str(path), "-o", str(folder / "restored")]
    if what == "evaluate":
        return ["evaluate", str(base.checkpoint), "--data", str(pictures), "--json"]
    setting = f"data.validation=[{pictures}]"
    return ["apply", str(base.recipe), "--out", str(folder / "out"), "--dry-run", "--set", setting]


def _saved(image: Any, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _image(mode: str, width: int = SIDE, height: int = SIDE) -> Any:
    from PIL import Image

    rng = np.random.default_rng(0)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), dtype=np.uint16))
    if mode == "F":
        return Image.fromarray(np.array([[np.nan, np.inf], [-1e30, 0.5]], np.float32))
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


def _of(mode: str, format: str, width: int = SIDE, height: int = SIDE, **options: Any) -> Callable[[], bytes]:
    return lambda: _saved(_image(mode, width, height), format, **options)


def _turned(orientation: int) -> Callable[[], bytes]:
    def make() -> bytes:
        image = _image("RGB", 20, 30)
        exif = image.getexif()
        exif[0x0112] = orientation
        return _saved(image, "JPEG", exif=exif)

    return make


def _profiled(profile: bytes) -> Callable[[], bytes]:
    return lambda: _saved(_image("RGB"), "PNG", icc_profile=profile)


def _animated(format: str) -> Callable[[], bytes]:
    return lambda: _saved(_image("RGB"), format, save_all=True, append_images=[_image("L")])


def _exif_damaged() -> bytes:
    """GPS as text behind an orientation."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112], exif[0x8825] = 6, {2: (1.0, 2.0, 3.0)}
    return _saved(_image("RGB"), "JPEG", exif=exif.tobytes().replace(b"\0\2\0\5\0\0\0\3", b"\0\2\0\2\0\0\0\3"))


def _samples(kind: type, scale: float) -> Callable[[], bytes]:
    """A grey TIFF of one kind of number."""
    from PIL import Image

    return lambda: _saved(Image.fromarray((np.asarray(_image("L")) * scale).astype(kind)), "TIFF")


def _srgb() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _png_claims(width: int, height: int, depth: int = 8, colour: int = 2) -> Callable[[], bytes]:
    """A PNG whose header promises (width, height) and whose data is short, or a bomb of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def make() -> bytes:
        head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
        data = zlib.compress(b"\0" * 1_000_000)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

    return make


MAKERS: tuple[tuple[str, Callable[[], bytes]], ...] = (
    *((".png", _of(mode, "PNG")) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *((".jpg", _of(mode, "JPEG")) for mode in ("L", "RGB", "CMYK")),
    *((".tif", _of(mode, "TIFF")) for mode in ("1", "L", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "F")),
    *((".webp", _of(mode, "WEBP")) for mode in ("RGB", "RGBA")),
    *((".bmp", _of(mode, "BMP")) for mode in ("1", "L", "P", "RGB")),
    *((".png", _of("RGB", "PNG", width, height)) for width, height in ((1, 1), (1, 40), (40, 1), (2, 3), (33, 31))),
    *((".jpg", _turned(orientation)) for orientation in (1, 2, 3, 5, 6, 8, 9, 77)),
    (".png", lambda: _profiled(_srgb())()),
    (".png", _profiled(b"no profile")),
    (".png", _profiled(b"")),
    (".png", _animated("PNG")),
    (".webp", _animated("WEBP")),
    (".tif", _animated("TIFF")),
    (".png", _animated("GIF")),
    (".png", _png_claims(60000, 60000)),
    (".png", _png_claims(2**31 - 1, 2**31 - 1)),
    (".png", _png_claims(0, 0)),
    (".png", _png_claims(500, 500)),
    (".png", _png_claims(9000, 9000, 1, 0)),
    (".png", lambda: b""),
    (".png", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n"),
    (".jpg", _exif_damaged),
    *((".tif", _samples(kind, scale)) for kind, scale in ((np.float32, 1 / 255), (np.float32, 1), (np.int32, 1))),
    (".gif", _animated("GIF")),
    *((suffix, _of("RGB", format)) for suffix, format in ((".avif", "AVIF"), (".jp2", "JPEG2000"), (".tga", "TGA"))),
)
