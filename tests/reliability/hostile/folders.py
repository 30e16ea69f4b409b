"""Folders as a stranger leaves them: devices, pipes, sockets, links in circles and out, names that are not text."""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.reliability.base import Base

NAMES = (
    *("a.png", "b.jpg", "photo.PNG", "c.tif", "model.onnx", "manifest.json", "results.json", "recipe.yaml", "-rf.png"),
    *("\n9 files verified\n.png", "\x1b]0;title\x07.png", "[red]x[bold].png", "~root.png", "x" * 250 + ".png", " .png"),
    *(".hidden.png", "é.png", "e\u0301.png", "a.png.", "CON.png", "%s.png", "a:b.png"),
)
ENCODED = (b"\xff\xfe.png", b"\xed\xa0\x80.png")


def _socket(path: Path) -> None:
    # A socket's path may have 107 bytes: made where that is short, then moved.
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            one.bind("s")
            os.rename("s", path.name)
        finally:
            os.chdir(here)


def _picture(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (90, 80, 70)).save(path, "PNG")


def _closed(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0)


MAKERS: dict[str, Callable[[Path], object]] = {
    "picture": _picture,
    "folder": Path.mkdir,
    "pipe": lambda path: os.mkfifo(path),
    "socket": _socket,
    "closed": _closed,
    "empty": Path.touch,
    "text": lambda path: path.write_text("not a picture\n"),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "full": lambda path: path.symlink_to("/dev/full"),
    "terminal": lambda path: path.symlink_to("/dev/stdin"),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
    "itself": lambda path: path.symlink_to(path.name),
    "above": lambda path: path.symlink_to(".."),
    "nowhere": lambda path: path.symlink_to("/nowhere/at/all"),
    "sparse": lambda path: os.truncate(_touched(path), 2**40),
}


def _touched(path: Path) -> Path:
    path.touch()
    return path


COMMANDS = (
    "restore",
    "evaluate",
    "validation",
    "calibration",
    "verify",
    "report",
    "import",
    "checkpoint",
    "picture",
    "compare",
    "check",
)


def strategy(base: Base) -> st.SearchStrategy[Any]:
    """(names and what stands there, command)."""
    names = st.sampled_from([*(name.encode() for name in NAMES), *ENCODED])
    entries = st.dictionaries(names, st.sampled_from(["picture", *MAKERS]), min_size=1, max_size=6)
    return st.tuples(entries, st.sampled_from(COMMANDS))


def prepare(base: Base, example: tuple[dict[bytes, str], str], folder: Path) -> Sequence[str]:
    """Make the folder; a command reads it, or its first entry."""
    entries, what = example
    place = folder / "given"
    place.mkdir()
    for name, kind in entries.items():
        MAKERS[kind](place / os.fsdecode(name))
    first = str(place / os.fsdecode(next(iter(entries))))
    plan = ["apply", str(base.recipe), "--out", str(folder / "out"), "--dry-run", "--set"]
    return {
        "restore": ["restore", str(base.checkpoint), str(place), "-o", str(folder / "restored")],
        "evaluate": ["evaluate", str(base.checkpoint), str(place), "--json"],
        "validation": [*plan, f"data.validation=[{str(place)!r}]"],
        "calibration": [*plan, f"data.calibration={str(place)!r}"],
        "verify": ["verify", str(place)],
        "report": ["report", str(place), "-o", str(folder / "report.html")],
        "import": ["ledger", "import", str(place)],
        "compare": ["compare", str(place), first],
        "check": ["check", first, "--against", str(place), "--max-size-growth", "1"],
        "checkpoint": ["restore", first, str(base.picture), "-o", str(folder / "restored.png")],
        "picture": ["restore", str(base.checkpoint), first, "-o", str(folder / "restored.png")],
    }[what]
