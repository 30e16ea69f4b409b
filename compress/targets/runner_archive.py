"""``runner.pyz``: the runner as the one file that is sent to a device, and its hash for cache keys."""

import hashlib
import io
import zipapp
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath

NAME = "runner.pyz"
ROOT = Path(__file__).parents[2]
SOURCES = (
    *sorted(Path(__file__).with_name("runner").glob("*.py")),
    ROOT / "compress/artifacts/runtime/executorch_import.py",
)
MAIN = "compress/targets/runner/__main__.py"
WHEN = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can hold


@cache
def runner_archive() -> bytes:
    """A file that ``python3`` runs. The same sources give the same bytes on every machine."""
    sources = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in SOURCES}
    # The packages above are empty there, so that it imports nothing else of this one.
    above = {f"{parent}/__init__.py" for name in sources for parent in PurePosixPath(name).parents if parent.name}
    files = {**dict.fromkeys(above, b""), **sources, "__main__.py": sources[MAIN]}
    packed, archive = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, WHEN)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, also when packed on Windows
            file.writestr(entry, files[name])
    packed.seek(0)
    zipapp.create_archive(packed, archive, "/usr/bin/env python3")
    return archive.getvalue()


@cache
def runner_sha256() -> str:
    """Changes with anything that the runner does."""
    return hashlib.sha256(runner_archive()).hexdigest()
