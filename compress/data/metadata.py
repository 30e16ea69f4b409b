"""What a picture file says beside its pixels: EXIF, XMP, colour profile, resolution, texts; read, and written again.

Pillow can raise anything while it reads these. Every part, and every tag of EXIF, is read and tried on its own: what
cannot be read, or cannot be written again, is left out and named.
"""

import io
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
_DIRECTORIES = {EXIF_IFD: "EXIF's details", GPS_IFD: "EXIF's GPS"}
_MAIN = {
    269, 270, 271, 272, 282, 283, 285, 296, 305, 306, 315, 316, 18246, 18249, 33432, 37510, 40091, 40092, 40093, 40094,
    40095,
}  # fmt: skip
"""Tags of the first directory that tell of the picture; the others, orientation too, are about the source's file."""
_STALE = {0x9101, 0x9102, 0xA002, 0xA003, 0xA005}
"""Tags of the details that describe the source's JPEG: components, compression, sides, interoperability."""
_TURN_IN_XMP = re.compile(rb'tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>')
_TEXTS, _TEXT_LENGTH = 100, 65536  # of PNG: as many, each as long
_MAX_DPI = 65535  # JPEG's field

_NO_TEXTS = ("XML:com.adobe.xmp", "Raw profile type")  # other metadata, kept as texts

HOLDS = {
    "PNG": {"exif", "xmp", "profile", "dpi", "texts"},
    "JPEG": {"exif", "xmp", "profile", "dpi", "texts"},
    "WEBP": {"exif", "xmp", "profile"},
    "AVIF": {"exif", "xmp", "profile"},
    "TIFF": {"exif", "xmp", "profile", "dpi"},
    "BMP": {"dpi"},
    "GIF": {"texts"},
}
"""What each format that is written can hold; of texts, JPEG and GIF hold one comment."""
_NAMES = {"exif": "EXIF", "xmp": "XMP", "profile": "colour profile", "dpi": "resolution", "texts": "texts"}
_COLOURS = {"L": b"GRAY", "LA": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB "}  # of an ICC profile, by the mode it describes

Tags = Mapping[int, Any]
SaveOptions: TypeAlias = dict[str, Any]
"""Keyword arguments of Pillow's ``save``, which differ by format."""


@dataclass(frozen=True)
class Metadata:
    """``exif``: tags by directory (0 is the first), without the orientation. ``texts``: PNG's; JPEG's is "Comment"."""

    exif: Mapping[int, Tags] = field(default_factory=dict)
    xmp: bytes | None = None
    profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


def read_metadata(image: ImageFile.ImageFile) -> tuple[Metadata, list[str]]:
    """The metadata of an opened picture, and a note where parts are damaged."""
    lost = ["metadata"] if image.info.get("damaged") else []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        exif = _exif(image, lost)
    if warned and not lost:
        lost.append("a part of EXIF")
    metadata = Metadata(exif, _xmp(image), _profile(image), _dpi(image), _texts(image))
    return metadata, [f"damaged and left out: {', '.join(lost)}"] if lost else []


def _exif(image: ImageFile.ImageFile, lost: list[str]) -> dict[int, Tags]:
    try:
        exif = image.getexif()
        tags = sorted(exif)
    except Exception:
        lost.append("EXIF")
        return {}
    directories = {0: _sound(0, {tag: _value(exif, tag) for tag in tags if tag in _MAIN}, "EXIF", lost)}
    for directory, called in _DIRECTORIES.items():
        if directory not in tags:
            continue
        try:
            values = dict(exif.get_ifd(directory))
        except Exception:
            lost.append(called)
            continue
        stale = _STALE if directory == EXIF_IFD else ()
        directories[directory] = _sound(directory, {t: v for t, v in values.items() if t not in stale}, called, lost)
    return {directory: values for directory, values in directories.items() if values}


def _value(exif: Image.Exif, tag: int) -> Any:
    try:
        return exif[tag]
    except Exception:
        return None


def _sound(directory: int, values: Tags, called: str, lost: list[str]) -> dict[int, Any]:
    """The ``values`` that can be written."""
    kept = {tag: value for tag, value in values.items() if _can_be_written(directory, tag, value)}
    if len(kept) < len(values):
        lost.append(f"{len(values) - len(kept)} of {len(values)} tags of {called}")
    return kept


def _can_be_written(directory: int, tag: int, value: Any) -> bool:
    if value is None:
        return False
    try:
        again = Image.Exif()
        again.load(exif_block({directory: {tag: value}}))
        return tag in (again.get_ifd(directory) if directory else again)
    except Exception:
        return False


def exif_block(exif: Mapping[int, Tags]) -> bytes:
    """EXIF as formats hold it."""
    made = Image.Exif()
    for tag, value in exif.get(0, {}).items():
        made[tag] = value
    for directory in _DIRECTORIES:
        if directory in exif:
            made[directory] = dict(exif[directory])
    return made.tobytes()


def _xmp(image: ImageFile.ImageFile) -> bytes | None:
    value = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(value, str):
        value = value.encode(errors="replace")
    return _TURN_IN_XMP.sub(b"", value) if isinstance(value, bytes) else None


def _profile(image: ImageFile.ImageFile) -> bytes | None:
    value = image.info.get("icc_profile")
    return value if isinstance(value, bytes) and len(value) >= 128 else None


def _dpi(image: Any) -> tuple[float, float] | None:
    try:
        # Pillow gives (1, 1) or (72, 72) where there is none.
        if image.format == "TIFF" and 282 not in image.tag_v2:
            return None
        if image.format in ("JPEG", "MPO") and not image.info.get("jfif_unit") and 282 not in image.getexif():
            return None
        across, down = (float(n) for n in image.info["dpi"])
    except Exception:
        return None
    fit = all(math.isfinite(n) and 1 <= n <= _MAX_DPI for n in (across, down))
    return (across, down) if fit else None


def _texts(image: ImageFile.ImageFile) -> dict[str, str]:
    texts = {}
    for key, value in list(image.info.items()):
        if key == "comment" and isinstance(value, (bytes, str)):
            texts["Comment"] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        elif image.format == "PNG" and isinstance(value, str) and not str(key).startswith(_NO_TEXTS):
            texts[str(key)] = str(value)
    return {k: v for k, v in list(texts.items())[:_TEXTS] if len(v) <= _TEXT_LENGTH}


# --- writing ---------------------------------------------------------------------------------------------------


def save_options(given: Metadata, format: str, mode: str) -> tuple[SaveOptions, list[str]]:
    """Pillow's options that write ``given`` into a picture of ``format`` and ``mode``, and a note on what was left out.

    Each part is tried on a small picture: formats limit what they take (64 KB of EXIF in JPEG). What a format has no
    place for is left out without a note; docs/restore.md lists it.
    """
    options: SaveOptions = {}
    lost = []
    with warnings.catch_warnings(action="ignore"):
        for part, some in _parts(given, format, mode).items():
            try:
                Image.new(mode, (8, 8)).save(io.BytesIO(), format, **some)
                options |= some
            except Exception:
                lost.append(_NAMES[part])
    return options, [f"left out, {format} cannot hold it: {', '.join(lost)}"] if lost else []


def _parts(given: Metadata, format: str, mode: str) -> dict[str, SaveOptions]:
    holds = HOLDS[format]
    parts: dict[str, SaveOptions] = {}
    exif = {
        directory: {tag: value for tag, value in tags.items() if _can_be_written(directory, tag, value)}
        for directory, tags in given.exif.items()
    }
    if given.dpi and "dpi" not in holds:
        across, down = given.dpi
        exif[0] = {282: across, 283: down, 296: 2, **exif.get(0, {})}
    if given.xmp and format == "TIFF":
        exif[0] = {**exif.get(0, {}), 700: given.xmp}  # Pillow takes either EXIF or other tags
    elif given.xmp:
        parts["xmp"] = {"xmp": given.xmp}
    if any(exif.values()):
        parts["exif"] = {"exif": exif_block(exif)}
    if given.profile and given.profile[16:20] == _COLOURS.get(mode):
        parts["profile"] = {"icc_profile": given.profile}
    if given.dpi:
        parts["dpi"] = {"dpi": given.dpi}
    if format != "PNG" and (comment := given.texts.get("Comment")):
        parts["texts"] = {"comment": comment}
    chosen = {part: some for part, some in parts.items() if part in holds}
    if format == "PNG" and (given.texts or given.xmp):
        # XMP is one of PNG's texts.
        chosen.pop("xmp", None)
        chosen["texts"] = {"pnginfo": _png_texts(given)}
    return chosen


def _png_texts(given: Metadata) -> PngInfo:
    info = PngInfo()
    if given.xmp:
        info.add_itxt("XML:com.adobe.xmp", given.xmp.decode("utf-8", "replace"))
    for key, text in given.texts.items():
        try:
            info.add_itxt(key, text) if not text.isascii() else info.add_text(key, text)
        except Exception:  # a key that is too long, empty or not Latin
            continue
    return info
