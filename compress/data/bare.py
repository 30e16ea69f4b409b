"""A picture's file without its metadata: pixels may be sound where what describes them is damaged."""

import re
import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_JPEG_METADATA = {*range(0xE0, 0xEE), 0xEF, 0xFE}  # APP0 to APP13, APP15, comments; APP14 tells CMYK from YCCK

_EXIF_HEADER = re.compile(rb"(II\*\0|MM\0\*).{4}", re.DOTALL)
"""Header of an EXIF block, with the place of its first directory; a place behind the end of the file means an empty
block.
"""


def without_metadata(data: bytes) -> bytes | None:
    """The bytes of a JPEG, PNG, AVIF or HEIF without its metadata; None for other formats."""
    if data.startswith(b"\xff\xd8"):
        return _bare_jpeg(data)
    if data[4:8] == b"ftyp":  # AVIF, HEIF: Pillow parses EXIF while it opens them
        return _EXIF_HEADER.sub(lambda match: match[0][:4] + b"\x7f" * 4, data)
    return _bare_png(data) if data.startswith(_PNG) else None


def _bare_jpeg(data: bytes) -> bytes:
    kept, at = [b"\xff\xd8"], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            break  # pixels follow, to the end
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
        if marker not in _JPEG_METADATA:
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])


def _bare_png(data: bytes) -> bytes:
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        end = at + 12 + int(struct.unpack(">I", data[at : at + 4])[0])
        if data[at + 4 : at + 8] in _PNG_PIXELS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)
