"""``runner.pyz``: the runner as the one file that is sent to a device, and its hash for cache keys."""

import hashlib
import io
import zipapp
import zipfile
from functools import cache
from pathlib import Path

NAME = "runner.pyz"
SOURCES = Path(__file__).with_name("runner")
INSIDE = "compress/targets/runner"
WHEN = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can hold


@cache
def runner_archive() -> bytes:
    """A file that ``python3`` runs. The same sources give the same bytes on every machine."""
    sources = {f"{INSIDE}/{path.name}": path.read_bytes() for path in SOURCES.glob("*.py")}
    # The packages above the runner are empty there, so that it imports nothing else of this one.
    files = {"compress/__init__.py": b"", "compress/targets/__init__.py": b"", **sources}
    files["__main__.py"] = sources[f"{INSIDE}/__main__.py"]
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
