"""One door for pictures: listed formats only, no program started, one kind of error whatever Pillow raises."""

import ast
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

import compress
from compress.data import open
from compress.data.open import FORMATS, formats, frame_sizes, opened, size_of, suffixes
from compress.data.picture import read_picture
from compress.data.pictures import read_rgb
from compress.errors import InputError

ROOT = Path(compress.__file__).parents[1]
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
SOURCES = [p for folder in ("compress", "benchmarks", "docs") for p in sorted((ROOT / folder).rglob("*.py"))]


@pytest.fixture()
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``gs`` first on the path that leaves this file when it is started."""
    started = tmp_path / "started"
    program = tmp_path / "bin/gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho >> {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return started


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.eps", "photo"])
def test_postscript_starts_no_program(ghostscript: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(POSTSCRIPT)
    with pytest.raises(InputError, match=r"not a readable picture \(cannot identify image file as one of PNG, JPEG, "):
        read_rgb(tmp_path / name)
    with pytest.raises(InputError):
        read_rgb(io.BytesIO(POSTSCRIPT), name)
    assert not ghostscript.exists()


def test_postscript_would_start_one(ghostscript: Path) -> None:
    """What the test above rests on: Pillow's own choice of formats starts the program."""
    with pytest.raises(OSError), Image.open(io.BytesIO(POSTSCRIPT)) as image:
        image.load()
    assert ghostscript.exists()


def test_no_other_format_is_opened() -> None:
    others = set(Image.OPEN) - set(formats())
    assert set(formats()) <= set(FORMATS) and {"EPS", "WMF", "PSD"} <= others


def opens(path: Path) -> list[str]:
    """Calls in ``path`` that decode pictures."""
    result = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        if (node.func.attr, owner) == ("open", "Image") or node.func.attr in ("imread", "Parser", "decode_image"):
            result.append(f"{path.name}:{node.lineno}")
    return result


def test_nothing_else_opens_pictures() -> None:
    """Whoever opens one by itself may start a program, or lose a batch to damaged metadata."""
    # A package's program has no other module to ask: it names its formats itself. Nor has the program that runs other
    # upscalers in an environment of their own: it opens what the benchmark wrote.
    alone = ("compress/package/templates/common/run.py", "benchmarks/upscaler_peer.py")
    by_itself = {Path(open.__file__), *(ROOT / path for path in alone)}
    assert [line for path in SOURCES if path not in by_itself for line in opens(path)] == []
    door = Path(open.__file__)
    nodes = ast.walk(ast.parse(door.read_text()))
    calls = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "Image.open"]
    assert len(calls) == len(opens(door)) == 2
    assert all([keyword.arg for keyword in call.keywords] == ["formats"] for call in calls)


# --- metadata never cost the pixels ---------------------------------------------------------------------------

TAGS = [0x10E, 0x10F, 0x112, 0x11A, 0x128, 0x132, 0x8769, 0x8825, 0x9003, 0x927C, 0x9286, 0xA005, 700, 1, 2, 5, 7, 29]
COUNTS = st.sampled_from([0, 1, 2, 3, 8, 100, 2**31])
CHUNKS = [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"pHYs", b"gAMA", b"eXIf", b"acTL"]
NAMES = [b"", b"Exif\0\0", b"MPF\0", b"JFIF\0", b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"http://ns.adobe.com/xap/1.0/\0"]
OFFSETS = st.one_of(st.integers(0, 200), st.sampled_from([8, 60, 2**32 - 1]))


@st.composite
def exif_blocks(draw: st.DrawFn) -> bytes:
    """A header, directories of any tags and types with values in, at or outside of the block, and a rest."""
    order = draw(st.sampled_from("<>"))
    block = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}L", 8)
    for _ in range(3):
        entries = draw(st.lists(st.tuples(st.sampled_from(TAGS), st.integers(0, 14), COUNTS, OFFSETS), max_size=5))
        block += struct.pack(f"{order}H", len(entries))
        block += b"".join(struct.pack(f"{order}HHLL", *entry) for entry in entries)
        block += struct.pack(f"{order}L", draw(OFFSETS))
    return (b"Exif\0\0" + block + draw(st.binary(max_size=40)))[: draw(st.integers(0, 400))]


PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def with_exif(format: str, block: bytes) -> io.BytesIO:
    """A lossless picture of PIXELS that holds ``block``, which Pillow copies as it is."""
    file = io.BytesIO()
    options = {"PNG": {}, "WEBP": {"lossless": True, "exact": True}}[format]
    Image.fromarray(PIXELS).save(file, format, exif=block, **options)
    return file


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
@settings(max_examples=40)
@given(block=exif_blocks())
def test_any_exif_block_leaves_the_pixels(format: str, block: bytes) -> None:
    result = read_picture(with_exif(format, block), "x").rgb
    assert any(np.array_equal(result, np.rot90(p, k)) for p in (PIXELS, PIXELS[:, ::-1]) for k in range(4))


@settings(max_examples=40)
@given(block=exif_blocks())
def test_any_directory_in_a_tiff_leaves_the_pixels(block: bytes) -> None:
    """EXIF's details and GPS lie at the end of the file, wherever their own offsets lead."""
    file = io.BytesIO()
    tags = {34665: 0, 34853: 0}
    Image.fromarray(PIXELS).save(file, "TIFF", tiffinfo=tags)
    data = bytearray(file.getvalue())
    for tag in tags:
        at = data.find(struct.pack("<HH", tag, 4))
        assert at > 0
        data[at + 8 : at + 12] = struct.pack("<L", len(data) + 14)
    assert np.array_equal(read_picture(io.BytesIO(bytes(data) + block), "x").rgb, PIXELS)


@settings(max_examples=40)
@given(chunks=st.lists(st.tuples(st.sampled_from(CHUNKS), st.binary(max_size=30)), max_size=4))
def test_any_chunk_of_a_png_leaves_the_pixels(chunks: list[tuple[bytes, bytes]]) -> None:
    """Also with a sum of its own that does not fit."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    data = file.getvalue()
    middle = b"".join(struct.pack(">I", len(body)) + kind + body + bytes(4) for kind, body in chunks)
    assert np.array_equal(read_picture(io.BytesIO(data[:33] + middle + data[33:]), "x").rgb, PIXELS)


@settings(max_examples=40)
@given(
    segments=st.lists(st.tuples(st.integers(0xE0, 0xEF), st.sampled_from(NAMES), st.binary(max_size=40)), max_size=4)
)
def test_any_segment_of_a_jpeg_leaves_the_pixels(segments: list[tuple[int, bytes, bytes]]) -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", quality=95)
    plain = read_rgb(io.BytesIO(file.getvalue()), "x")
    # APP14 says how colours are stored: it is not metadata.
    middle = b"".join(
        struct.pack(">BBH", 0xFF, number, 2 + len(kind + body)) + kind + body
        for number, kind, body in segments
        if number != 0xEE
    )
    data = file.getvalue()
    result = read_picture(io.BytesIO(data[:2] + middle + data[2:]), "x").rgb
    assert any(np.array_equal(result, np.rot90(p, k)) for p in (plain, plain[:, ::-1]) for k in range(4))


@pytest.mark.parametrize("format", ["AVIF", "JPEG"])
def test_exif_that_fails_while_pillow_opens_or_turns(format: str, tmp_path: Path) -> None:
    """GPS as text, behind an orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8825] = {2: (1.0, 2.0, 3.0), 29: "2020:01:01"}
    block = exif.tobytes()
    Image.fromarray(PIXELS).save(tmp_path / "x", format, exif=block, quality=95)
    data = bytearray((tmp_path / "x").read_bytes())
    at = data.find(struct.pack(">HHL", 2, 5, 3))
    assert at > 0
    data[at : at + 8] = struct.pack(">HHL", 2, 2, 3)
    (tmp_path / "x").write_bytes(data)
    result = read_picture(tmp_path / "x")
    assert result.rgb.shape == (16, 12, 3)
    assert any(note.startswith("damaged and left out: ") for note in result.notes)


# --- what is refused -------------------------------------------------------------------------------------------


@settings(max_examples=80)
@given(
    format=st.sampled_from(["PNG", "TIFF", "GIF", "WEBP", "BMP", "TGA", "JPEG", "PPM"]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damage_is_one_kind_of_error(format: str, changes: list[tuple[int, int]]) -> None:
    """Whatever Pillow raises for it, and in one line."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, format)
    data = bytearray(file.getvalue())
    for at, value in changes:
        data[at % len(data)] = value
    try:
        read_picture(io.BytesIO(bytes(data)), "x.png")
    except InputError as error:
        assert str(error).startswith("x.png: ") and "\n" not in str(error)


def test_tiff_of_unknown_samples_tells_its_values(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "x.tif", PIXELS.astype(np.float32), photometric="rgb")
    with pytest.raises(
        InputError, match=r"\(32, 32, 32\) bits per sample, sample format \(3, 3, 3\), photometric .* 2"
    ):
        read_rgb(tmp_path / "x.tif")


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_file_gave_is_told(tmp_path: Path, stream: bool) -> None:
    """Not what the second attempt, without metadata, gave."""
    Image.fromarray(PIXELS).save(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:300])
    with pytest.raises(InputError, match=r"x\.png: not a readable picture \(image file is truncated"):
        read_rgb(io.BytesIO((tmp_path / "x.png").read_bytes()) if stream else tmp_path / "x.png", "x.png")


def test_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png: is not a file \(a pipe or device\): save the picture as a file"):
        read_rgb(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(InputError, match=r"loop\.png: cannot be read \(.*symbolic links"):
        read_rgb(tmp_path / "loop.png")
    with pytest.raises(InputError, match="cannot be read"):
        read_rgb(tmp_path / "nul\0.png")


TOO_LONG = "has 1048576 MB, and may have 512 in its format: save it as PNG or TIFF, or cut it"


@pytest.mark.parametrize(
    ("name", "head", "why"),
    [
        ("x.heic", b"\0\0\0\x18ftypheic", TOO_LONG),
        ("x.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8 ", TOO_LONG),
        ("x.png", b"\x89PNG\r\n\x1a\n", "not a readable picture"),
        ("x.jpg", b"\xff\xd8\xff\xe0", TOO_LONG),
        ("x.gif", b"GIF89a\1\0\1\0\0\0\0", TOO_LONG),
        ("x.tif", b"II*\0\x08\0\0\0", "not a readable picture"),
        ("x.png", b"", "not a readable picture"),
    ],
)
def test_a_file_of_any_length_is_not_read_into_memory(name: str, head: bytes, why: str, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as file:
        file.write(head)
        file.truncate(2**40)  # a hole, which takes no room
    with pytest.raises(InputError, match=rf"{name}: {why}"):
        read_rgb(tmp_path / name)


def test_a_format_without_its_decoder_says_what_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open, "suffixes", lambda: suffixes() - {".heic"})
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(
        InputError, match=r"x\.heic: pictures of this kind cannot be opened here: pip install pillow-heif"
    ):
        read_rgb(tmp_path / "x.heic")


def test_sizes_come_from_the_header(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "x.png")
    cut = (tmp_path / "x.png").read_bytes()[:60]
    (tmp_path / "cut.png").write_bytes(cut)
    assert size_of(tmp_path / "cut.png") == (16, 12)
    pages = [Image.new("RGB", (8 + i, 5)) for i in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    assert frame_sizes(tmp_path / "x.tif") == [(8, 5), (9, 5), (10, 5)]


def test_errors_of_the_machine_stay_what_they_are(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "x.png")

    def exhausted(image: Image.Image) -> None:
        raise MemoryError

    with pytest.raises(MemoryError), opened(tmp_path / "x.png", load=exhausted):
        pass
