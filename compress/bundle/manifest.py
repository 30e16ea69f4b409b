"""``manifest.json``: written last, read with every path and hash checked."""

import json
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from compress.bundle.schema import manifest_mistake
from compress.errors import InputError, VerificationError
from compress.files import sha256_file, write_text
from compress.results.file import RESULTS, read_results

MANIFEST = "manifest.json"

SCHEMA_VERSION = 1


def write_manifest(folder: Path, facts: dict[str, Any], files: list[str]) -> None:
    """Write ``manifest.json``: ``facts`` plus every file with bytes and sha256. Last of a bundle's files."""
    paths = {f: folder / f for f in sorted(files)}
    listed = [{"path": f, "bytes": p.stat().st_size, "sha256": sha256_file(p)} for f, p in paths.items()]
    manifest = {"schema_version": SCHEMA_VERSION, **facts, "files": listed}
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, its paths checked to stay inside.

    Raises InputError when there is none, VerificationError when it is damaged, of another version or points outside.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder}: not a bundle, it has no {MANIFEST}: give the folder that `compress apply` wrote")
    manifest = _read_json(path)
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION and isinstance(version, int):
        raise VerificationError(
            f"{path}: schema_version {version}, this release reads {SCHEMA_VERSION}: upgrade elir-compress"
        )
    if mistake := manifest_mistake(manifest):
        raise VerificationError(f"{path}: damaged manifest ({mistake}): write the bundle again")
    files, entries = ([item[key] for item in manifest[of]] for of, key in (("files", "path"), ("artifacts", "entry")))
    root = folder.resolve()
    for name in (*files, *entries):
        if not _is_inside(root, name) and not _is_listed_content(folder, name, manifest["files"]):
            raise VerificationError(f"{path}: {name} points outside the bundle: do not use it")
    _check_listed(folder, manifest, entries)
    return manifest


def _check_listed(folder: Path, manifest: dict[str, Any], names: Iterable[str]) -> None:
    """Raise VerificationError for a file that is used but has no hash, so that nobody would see it change."""
    listed = {entry["path"] for entry in manifest["files"]}
    for name in names:
        if name not in listed:
            raise VerificationError(f"{folder / MANIFEST}: {name} is not among its files: do not use it")


def is_own_file(folder: Path, name: str) -> bool:
    """Whether the file ``name`` is inside of the bundle ``folder``, or what its manifest lists, by a link."""
    if _is_inside(folder.resolve(), name):
        return True
    try:
        return name in {entry["path"] for entry in read_manifest(folder)["files"]}
    except (InputError, VerificationError):
        return False


def _is_inside(root: Path, name: str) -> bool:
    """Whether a path of a manifest is relative, never climbs, and follows no link out of ``root``."""
    path = PurePosixPath(name)
    try:
        return not path.is_absolute() and ".." not in path.parts and (root / name).resolve().is_relative_to(root)
    except (ValueError, OSError, RuntimeError):  # NUL in it, too long, links in a circle
        return False


def _is_listed_content(folder: Path, name: str, files: list[dict[str, Any]]) -> bool:
    """Whether ``name`` is a link that leads out of the bundle to a plain file with the content that is listed.

    So lie bundles in a cache of the Hugging Face hub: every file is a link to ``../../blobs``. A file is what its hash
    says; what a stranger's link could lead to otherwise, a device or a secret, has no such hash.
    """
    lexical = PurePosixPath(name)
    if lexical.is_absolute() or ".." in lexical.parts:
        return False
    try:
        facts = (folder / name).stat()
        if not stat.S_ISREG(facts.st_mode):
            return False
        listed = [entry for entry in files if entry["path"] == name]
        same_size = bool(listed) and all(entry["bytes"] == facts.st_size for entry in listed)
        return same_size and all(entry["sha256"] == sha256_file(folder / name) for entry in listed)
    except (OSError, ValueError, RuntimeError):
        return False


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise VerificationError(f"{path}: damaged {path.stem} ({what}): write the bundle again") from None


def changed_files(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """What is missing or differs from its hash, one line each."""
    return [problem for entry in manifest["files"] if (problem := _changed(folder, entry))]


def check_artifact(folder: Path, manifest: dict[str, Any], entry: str) -> None:
    """Raise VerificationError unless the files of the artifact ``entry`` are as the manifest says."""
    own = [
        f for f in manifest["files"] if PurePosixPath(f["path"]).with_suffix("") == PurePosixPath(entry).with_suffix("")
    ]
    for problem in filter(None, (_changed(folder, file) for file in own)):
        raise VerificationError(f"{folder}/{problem}: do not use it, get another copy of the bundle")


def noise_seed(folder: Path, manifest: dict[str, Any]) -> int:
    """Seed of the run's noise. Raises VerificationError for a manifest that tells none."""
    if not manifest.get("seeds"):
        raise VerificationError(f"{folder / MANIFEST}: damaged manifest (seeds: missing): write the bundle again")
    return int(manifest["seeds"]["noise"])


def _changed(folder: Path, entry: dict[str, Any]) -> str | None:
    path = folder / entry["path"]
    if not path.is_file():
        return f"{entry['path']}: missing"
    if path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
        return f"{entry['path']}: differs from its hash in the manifest"
    return None


def read_samples(folder: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The bundle's samples, at least one, their files all in the manifest. Raises VerificationError otherwise."""
    _check_listed(folder, manifest, [RESULTS])
    samples = [sample.to_json() for sample in read_results(folder).samples]
    if not samples:
        raise VerificationError(f"{folder / RESULTS}: damaged (samples: none): write the bundle again")
    for sample in samples:
        files = (sample["outputs"], sample.get("simulated", {}))  # older bundles have none simulated
        paths = [path for named in files for path in named.values()]
        truth = [sample["clean"]] if sample.get("clean") else []
        _check_listed(folder, manifest, [sample["degraded"], *truth, *paths])
    return samples
