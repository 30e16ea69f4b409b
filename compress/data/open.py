"""The one door that picture files come through: an explicit list of formats, and one kind of error.

Whatever Pillow raises while it reads a file becomes an InputError with the file's name, so that a batch loses one
picture. Formats are listed because Pillow hands others to programs (a PostScript file, whatever its name, is run by
Ghostscript) or to decoders that no picture to restore needs.
"""

import errno
import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from compress.data.bare import without_metadata
from compress.errors import InputError
from compress.files import TooLong, open_plain, read_plain
from compress.native_work import native_work

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "HEIF", "JPEG2000", "PPM", "QOI", "TGA")
"""Pillow's names of the formats that are opened, where this installation has their decoders."""
MISSING = {
    ".heic": "pip install pillow-heif",
    ".heif": "pip install pillow-heif",
    ".hif": "pip install pillow-heif",
    ".avif": "pip install -U pillow",
    ".avifs": "pip install -U pillow",
}
"""What opens a suffix whose decoder is optional."""
MOST_BYTES = 2**29
"""Of a file that is read whole: by the decoders of WebP, AVIF and HEIF, by those of JPEG and GIF until they find a
picture, and again without its metadata. Others read what they need of a file, which may be a stack of many pages."""
_OF_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation

Load = Callable[[ImageFile.ImageFile], None]


@cache
def formats() -> tuple[str, ...]:
    """The FORMATS that can be opened here; pillow-heif adds HEIF where it is installed."""
    Image.init()
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except Exception:  # broken as often as missing: a wheel for another Pillow raises what it likes
        pass
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def suffixes() -> frozenset[str]:
    """Suffixes, in small letters, of the files that can be opened here, as Pillow registers them."""
    known = formats() + (("MPO",) if "JPEG" in formats() else ())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


@contextmanager
def opened(file: Path | BinaryIO, name: str | None = None, load: Load | None = None) -> Iterator[ImageFile.ImageFile]:
    """The picture of ``file``, whose header has been read; ``load`` reads what is needed of it before it is given.

    A file that fails is read again without its metadata, where that is separate from the pixels: damaged metadata
    must not cost the picture. ``image.info["damaged"]`` is set then.
    Raises InputError, with ``name`` or the file's own, for what is missing, empty, too large, of no listed format, or
    cannot be read.
    """
    name = name or str(file)
    if isinstance(file, Path):
        check_file(file)
    with warnings.catch_warnings(action="ignore"):  # Pillow warns at length about metadata it can do without
        try:
            with native_work(name):
                image = _open(file if isinstance(file, Path) else _bytes(file), load)
        except Exception as error:
            raise refusal(error, name, file) from None
        try:
            yield image
        finally:
            with suppress(Exception):  # of a picture that was closed already, and Pillow 11
                image.close()


def jpeg_round_trip(data: io.BytesIO) -> Image.Image:
    """The RGB picture of a JPEG file that was just written."""
    return Image.open(data, formats=("JPEG",)).convert("RGB")


def size_of(path: Path) -> tuple[int, int]:
    """Width and height in px by the header alone, before EXIF turns them. Raises InputError as ``opened`` does."""
    with opened(path) as image:
        return image.size


def frame_sizes(path: Path) -> list[tuple[int, int]]:
    """Width and height of every frame or page, as ``size_of``."""
    sizes = []
    with opened(path) as image:
        for number in range(frame_count(image)):
            try:
                image.seek(number)
            except Exception as error:
                raise refusal(error, f"{path}, frame {number + 1}", path) from None
            sizes.append(image.size)
    return sizes


def frame_count(image: ImageFile.ImageFile) -> int:
    """Frames or pages of an opened picture; 1 where they cannot be counted."""
    try:
        return max(1, int(getattr(image, "n_frames", 1)))
    except Exception:
        image.seek(0)  # where a damaged frame stopped the count
        return 1


def orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none or it cannot be read."""
    try:
        value = int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1
    return value if 1 <= value <= 8 else 1


def load_upright(image: ImageFile.ImageFile, turned: int) -> Image.Image:
    """The picture with its pixels read, turned by ``orientation``; its metadata are gone: read them before.

    Pillow rewrites metadata while it turns a picture, and it turns a TIFF while it loads one: it would fail where they
    are damaged.
    """
    if image.format != "TIFF":
        image.load()
        return image.transpose(_TURNS[turned]) if turned in _TURNS else image
    image.info.pop("xmp", None)
    try:
        exif = image.getexif()
    except Exception:
        exif = image.getexif()  # marked as loaded before it failed
    exif.load(b"")
    exif[0x0112] = turned
    image.load()
    return image


def refusal(error: Exception, name: str, file: Path | BinaryIO | None = None) -> Exception:
    """What to raise for ``error``: an InputError, or what the machine lacks, as it is."""
    if isinstance(error, (InputError, MemoryError)) or (isinstance(error, OSError) and error.errno in _OF_MACHINE):
        return error
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        return InputError(f"{name}: more than {limit} million pixels: cut it into smaller pictures")
    why = _unidentified(file) if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())[:200]
    if not isinstance(error, (OSError, SyntaxError)):
        why = f"{type(error).__name__}: {why}"
    decoder = MISSING.get(Path(name).suffix.lower())
    if decoder and Path(name).suffix.lower() not in suffixes():
        return InputError(f"{name}: pictures of this kind cannot be opened here: {decoder}")
    return InputError(f"{name}: not a readable picture ({why}): replace or remove it")


def _unidentified(file: Path | BinaryIO | None) -> str:
    """Why Pillow has no decoder for ``file``: of a TIFF, the samples that it declares."""
    what = f"cannot identify image file as one of {', '.join(formats())}"
    try:
        with file.open("rb") if isinstance(file, Path) else io.BytesIO() as stream:
            tags = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
            stream.seek(tags.next)
            tags.load(stream)
        bits, kind, colours = (tags.get(tag, "none") for tag in (258, 339, 262))
        return (
            f"a TIFF of {bits} bits per sample, sample format {kind}, photometric interpretation {colours}, not known"
        )
    except Exception:
        return what


def check_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"{path}: no such picture: check the path") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({why}): check the path and its rights") from None
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a picture: name a file in it")
    if not path.is_file():
        raise InputError(f"{path}: is not a file (a pipe or device): save the picture as a file")
    if not status.st_size:
        raise InputError(f"{path}: not a readable picture (the file is empty): replace or remove it")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read (permission denied): check its rights")
    if status.st_size > MOST_BYTES and _is_read_whole(path):
        size, most = (number >> 20 for number in (status.st_size, MOST_BYTES))
        raise InputError(f"{path}: has {size} MB, and may have {most} in its format: save it as PNG or TIFF, or cut it")


def _is_read_whole(path: Path) -> bool:
    """Whether its decoder may go through all of the file, whatever the picture's size."""
    with open_plain(path) as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" or head.startswith((b"\xff\xd8", b"GIF8")) or (head[:4], head[8:]) == (b"RIFF", b"WEBP")


def _bytes(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _open(file: Path | bytes, load: Load | None) -> ImageFile.ImageFile:
    try:
        return _loaded(file, load)
    except (Image.DecompressionBombError, MemoryError, InputError):
        raise
    except Exception:
        bare = _without_metadata(file)
        if bare is None:
            raise
        try:
            return _loaded(bare, load, damaged=True)
        except InputError:
            raise  # its pixels were read
        except Exception:
            pass
        raise  # what the whole file gave


def _loaded(file: Path | bytes, load: Load | None, *, damaged: bool = False) -> ImageFile.ImageFile:
    image = Image.open(file if isinstance(file, Path) else io.BytesIO(file), formats=formats())
    if damaged:
        image.info["damaged"] = True
    try:
        if load is not None:
            load(image)
    except BaseException:
        image.close()
        raise
    return image


def _without_metadata(file: Path | bytes) -> bytes | None:
    """``without_metadata`` of a file's bytes; None for long files, too."""
    try:
        return without_metadata(read_plain(file, MOST_BYTES) if isinstance(file, Path) else file)
    except TooLong:
        return None
