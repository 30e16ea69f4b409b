"""``manifest.json``: written last, read with its schema and every path checked."""

import json
import stat
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from compress.artifacts.artifact import ENTRY
from compress.bundle.schema import Manifest, ManifestFile
from compress.errors import InputError, VerificationError
from compress.files import read_plain, sha256_file, write_text
from compress.results.json_text import parse_json
from compress.results.section import first_mistake

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
MOST_BYTES = 16 << 20
FileKey = tuple[int, int]  # device and inode
"""No manifest is larger: its ten thousand files take 2 MB."""


def write_manifest(folder: Path, facts: dict[str, Any], files: list[str]) -> None:
    """Write ``manifest.json``: ``facts`` plus every file with bytes and sha256. Last of a bundle's files."""
    paths = {f: folder / f for f in sorted(files)}
    listed = [{"path": f, "bytes": p.stat().st_size, "sha256": sha256_file(p)} for f, p in paths.items()]
    manifest = {"schema_version": SCHEMA_VERSION, **facts, "files": listed}
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, its paths checked to stay inside.

    Raises InputError when there is none, VerificationError when it is damaged, of another version or points outside.
    """
    return parse_manifest(folder, read_bytes(folder))


def read_bytes(folder: Path) -> bytes:
    """The bytes of a bundle's manifest. Raises InputError when there is none, VerificationError for a huge one."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder}: not a bundle, it has no {MANIFEST}: give the folder that `compress apply` wrote")
    try:
        return read_plain(path, MOST_BYTES)
    except ValueError as error:
        raise VerificationError(f"{path}: {error}: do not use it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path and its rights") from None


def parse_manifest(folder: Path, text: bytes) -> Manifest:
    """What ``read_manifest`` makes of a manifest's bytes; errors as there."""
    path, document = folder / MANIFEST, _document(folder / MANIFEST, text)
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION and isinstance(version, int):
        raise VerificationError(
            f"{path}: schema_version {version}, this release reads {SCHEMA_VERSION}: upgrade elir-compress"
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        raise VerificationError(f"{path}: damaged manifest ({first_mistake(error)}): write the bundle again") from None
    root, listed = folder.resolve(), {file.path: file for file in manifest.files}
    hashes: dict[FileKey, str] = {}
    graphs = [(artifact.format, graph) for artifact in manifest.artifacts for graph in artifact.graphs]
    for name in (*listed, *(graph for _, graph in graphs)):
        if not is_inside(root, name) and not _is_listed_content(folder, file := listed.get(name), hashes):
            blob = file is not None and is_hub_blob(root, name)
            why = "differs from its hash in the manifest" if blob else "points outside the bundle"
            raise VerificationError(f"{path}: {name} {why}: do not use it")
    for format, graph in graphs:
        if graph not in listed:
            raise VerificationError(f"{path}: {graph} is not among its files: do not use it")
        # By the suffix a runtime chooses how it reads a file, and with it which others it reads.
        if PurePosixPath(graph).suffix != (suffix := PurePosixPath(ENTRY[format]).suffix):
            raise VerificationError(f"{path}: {graph} must end in {suffix} ({format}): do not use it")
    return manifest


def is_inside(root: Path, name: str) -> bool:
    """Whether a path of a manifest is relative, never climbs, and follows no link out of ``root``."""
    try:
        return _is_plain(name) and (root / name).resolve().is_relative_to(root)
    except (ValueError, OSError, RuntimeError):  # NUL in it, too long, links in a circle
        return False


def _is_plain(name: str) -> bool:
    """Whether ``name`` is the one way to write a path below a folder."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and str(path) == name


def _is_listed_content(folder: Path, listed: ManifestFile | None, hashes: dict[FileKey, str]) -> bool:
    """Whether a file is a link that leads out of the bundle to a plain file with the content that is listed.

    So lie bundles in a cache of the Hugging Face hub: every file is a link to ``../../blobs``. A file is what its hash
    says; what a stranger's link could lead to otherwise, a device or a secret, has no such hash. ``hashes``: of files
    that were read; thousands of links may lead to one of gigabytes.
    """
    if listed is None or not _is_plain(listed.path):
        return False
    try:
        facts = (folder / listed.path).stat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size != listed.bytes:
            return False
        key = facts.st_dev, facts.st_ino
        if key not in hashes:
            hashes[key] = sha256_file(folder / listed.path)
        return hashes[key] == listed.sha256
    except (OSError, ValueError, RuntimeError):
        return False


def is_hub_blob(root: Path, name: str) -> bool:
    """Whether a file is a link into the blobs of the Hub's cache that ``root`` lies in: what it holds is at fault, not
    where it leads.
    """
    try:
        target = (root / name).resolve()
        return _is_plain(name) and any(target.parent == above / "blobs" for above in root.parents)
    except (ValueError, OSError, RuntimeError):
        return False


def _document(path: Path, text: bytes) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        why = " ".join(str(error).split())
        raise VerificationError(f"{path}: damaged manifest ({why}): write the bundle again") from None
