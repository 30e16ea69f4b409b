"""onnxruntime-web, ONNX Runtime as WebAssembly: fetched once from npm into the cache folder, its hash checked."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from compress.cache import cache_folder
from compress.errors import Unavailable, VerificationError
from compress.files import whole_file

if TYPE_CHECKING:
    from compress.progress import Progress

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Hash of the archive, as the registry gives it."""
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
FETCH_S = 600


def runtime_files(progress: "Progress") -> dict[str, Path]:
    """``SCRIPT`` and ``BINARY``, by name; fetched when they are not in the cache yet.

    Raises Unavailable when they cannot be fetched, VerificationError for a package that is not the known one.
    """
    files = {name: folder() / name for name in (SCRIPT, BINARY)}
    if not all(path.is_file() for path in files.values()):
        setup(progress)
    return files


def folder() -> Path:
    """Where the files are kept."""
    return cache_folder() / f"{PACKAGE}-{VERSION}"


def setup(progress: "Progress") -> Path:
    """Fetch the package by npm, with the user's own settings for it; an archive that lies there already will do.

    Errors as ``runtime_files``. Returns the folder.
    """
    place = folder()
    with progress.stage(f"fetch {PACKAGE} {VERSION}"), tempfile.TemporaryDirectory(prefix="compress-web-") as scratch:
        archive = place / ARCHIVE if (place / ARCHIVE).is_file() else _fetch(Path(scratch), place)
        _check(archive)
        with tarfile.open(archive) as packed:
            for name in (SCRIPT, BINARY):
                member = packed.extractfile(f"package/dist/{name}")
                assert member is not None
                with member, whole_file(place / name) as part, part.open("wb") as out:
                    shutil.copyfileobj(member, out)
    return place


def _fetch(scratch: Path, place: Path) -> Path:
    npm = shutil.which("npm")
    instead = f"or put {ARCHIVE} into {place}"
    if npm is None:
        raise Unavailable(f"{PACKAGE}: npm, which fetches it, is not installed: install Node.js, {instead}")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(scratch), "--silent"]
    try:
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=FETCH_S)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{PACKAGE}: npm took more than {FETCH_S} s: try again, {instead}") from None
    if done.returncode or not (scratch / ARCHIVE).is_file():
        lines = [line for line in done.stderr.splitlines() if "warn" not in line]
        why = " ".join(" ".join(lines).split())[:200] or "no message"
        raise Unavailable(f"{PACKAGE}: npm could not fetch it ({why}): see its registry and proxy settings, {instead}")
    return scratch / ARCHIVE


def _check(archive: Path) -> None:
    with archive.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise VerificationError(f"{archive}: is not {PACKAGE} {VERSION}, its sha512 differs: delete it, fetch again")
