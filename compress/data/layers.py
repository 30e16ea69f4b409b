"""Writing restored pictures with what stood beside the colours: transparency, greyness, metadata, frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, features

from compress.data.metadata import SaveOptions, save_options
from compress.data.picture import Picture
from compress.errors import InputError
from compress.files import whole_file

FORMATS = {
    ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP",
    ".gif": "GIF", ".avif": "AVIF",
}  # fmt: skip
"""What is written, by suffix; AVIF where Pillow has it."""
OPAQUE = ("JPEG", "BMP")  # hold no transparency
FRAMES = ("PNG", "WEBP", "GIF", "TIFF", "AVIF")  # hold several
MAX_SIDE = {"WEBP": 16383, "JPEG": 65500, "GIF": 65535, "AVIF": 32768}
"""Longest side in px: of the format, or of the libraries that write and read it (libjpeg; libavif's own limit)."""
MAX_PIXELS = {"AVIF": 2**28, "TIFF": 2**30 - 2**16}
"""Most pixels: libavif's limit; a TIFF ends at 4 GiB, of 4 bytes a pixel."""
BACKGROUND = 255
"""White: what shows through where a format has no transparency."""
QUALITY = 95  # of JPEG, WebP and AVIF; Pillow ignores it elsewhere
PAGE_MS = 1000  # of pages that become frames of an animation


def save_layers(rgb: np.ndarray, beside: Picture, path: Path) -> list[str]:
    """Write ``rgb`` (H, W, 3) uint8 with what stood beside the picture that it was restored from, whole.

    A grey picture is written grey; transparency is enlarged bicubically, and laid onto white where the format has none.
    Metadata are kept where the format has a place for them. Returns notes on what was changed or left out.
    Raises InputError for a format that is not written, cannot hold the size, or a folder that cannot be written.
    """
    format = check_writable(path)
    check_holds(path, rgb.shape[1], rgb.shape[0])
    image = composed(rgb, beside)
    notes = []
    if beside.alpha is not None and format in OPAQUE:
        image, notes = _flattened(image), [f"transparency laid onto white: {path.suffix} has none"]
    options, losses = save_options(beside.metadata, format, image.mode)
    _save(image, path, format, options)
    return notes + losses


def save_frames(images: Sequence[Image.Image], beside: Sequence[Picture], path: Path) -> list[str]:
    """Write ``composed`` frames as one animation or as pages, with each one's duration and the first one's metadata.

    Errors and notes as ``save_layers``.
    """
    format = check_writable(path)
    first = beside[0]
    mode = ("L" if all(p.grey for p in beside) else "RGB") + ("A" if any(p.alpha is not None for p in beside) else "")
    images = [image if image.mode == mode else image.convert(mode) for image in images]
    options, losses = save_options(first.metadata, format, mode)
    options |= {"save_all": True, "append_images": images[1:]}
    if format != "TIFF":
        timed = any(picture.duration for picture in beside)
        options["duration"] = [round(p.duration) if timed else PAGE_MS for p in beside]
        if first.loop is not None or format != "GIF":  # a GIF without the field runs once
            options["loop"] = 1 if first.loop is None else first.loop
        if format == "GIF" and mode.endswith("A"):
            options["disposal"] = 2  # to transparent: the frame before would show through
        if format == "WEBP" and mode.endswith("A"):
            options["lossless"] = True  # Pillow's animations with loss have no transparency
    _save(images[0], path, format, options)
    return losses


def composed(rgb: np.ndarray, beside: Picture) -> Image.Image:
    """``rgb`` (H, W, 3) uint8 as grey or colours, with ``beside``'s transparency enlarged to its size."""
    image = Image.fromarray(rgb)
    if beside.grey:
        image = image.convert("L")
    if beside.alpha is not None:
        image.putalpha(Image.fromarray(beside.alpha).resize(image.size, Image.Resampling.BICUBIC))
    return image


def _flattened(image: Image.Image) -> Image.Image:
    opaque = image.convert(image.mode.removesuffix("A"))
    white = Image.new(opaque.mode, image.size, (BACKGROUND,) * len(opaque.getbands()))
    return Image.composite(opaque, white, image.getchannel("A"))


def _save(image: Image.Image, path: Path, format: str, options: SaveOptions) -> None:
    with whole_file(path) as part:
        try:
            image.save(part, format, quality=QUALITY, **options)
        except Exception as error:
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
                raise  # of the machine: whole_file tells
            why = " ".join(str(error).split())
            raise InputError(f"{path}: cannot be written as {format} ({why}): use .png") from None


def check_writable(path: Path) -> str:
    """Pillow's format of ``path``'s suffix. Raises InputError unless pictures are written in it."""
    written = [s for s, name in FORMATS.items() if name != "AVIF" or features.check("avif")]
    if path.suffix.lower() not in written:
        raise InputError(f"{path}: pictures are not written as {path.suffix}: use one of {', '.join(written)}")
    return FORMATS[path.suffix.lower()]


def check_holds(path: Path, width: int, height: int) -> None:
    """Raise InputError where ``path``'s format cannot hold a picture of ``width`` x ``height`` px."""
    format = check_writable(path)
    side, pixels = MAX_SIDE.get(format, 2**31 - 1), MAX_PIXELS.get(format, 2**62)
    if max(width, height) > side:
        raise InputError(f"{path}: {width} x {height} px, {format} ends at {side} px a side: write .png or .tif")
    if width * height > pixels:
        limit = pixels // 10**6
        raise InputError(f"{path}: {width} x {height} px, {format} ends at {limit} million pixels: write .png")


def check_holds_frames(path: Path, sizes: Sequence[tuple[int, int]]) -> None:
    """Raise InputError where ``path``'s format cannot hold frames or pages of these sizes."""
    format = check_writable(path)
    if format not in FRAMES:
        several = ", ".join(suffix for suffix, name in FORMATS.items() if name in FRAMES)
        raise InputError(f"{path}: {len(sizes)} frames, {format} holds one: use {several}, or restore the first alone")
    if format != "TIFF" and len(set(sizes)) > 1:
        raise InputError(f"{path}: frames of {len(set(sizes))} sizes, an animation has one: write .tif")
