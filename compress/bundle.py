"""The bundle: manifest, and its verification."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from compress.errors import InputError, VerificationError
from compress.files import sha256_file, write_text

if TYPE_CHECKING:
    from compress.progress import Progress

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
# An artifact run again gives its sample picture back: exactly on the same machine; within this on other kernels.
SAMPLE_PSNR_DB = {"fp32": 50.0, "fp16": 40.0, "int8": 30.0, "weights": 50.0}


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
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = [entry["path"] for entry in manifest["files"] if entry["bytes"] >= 0 and entry["sha256"]]
        entries = [artifact["entry"] for artifact in manifest["artifacts"]]
        version = manifest["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise VerificationError(f"{path}: damaged manifest ({what}): write the bundle again") from None
    if version != SCHEMA_VERSION:
        raise VerificationError(
            f"{path}: schema_version {version}, this release reads {SCHEMA_VERSION}: upgrade elir-compress"
        )
    root = folder.resolve()
    for name in (*files, *entries):
        if not _is_inside(name) or not (folder / name).resolve().is_relative_to(root):
            raise VerificationError(f"{path}: {name} points outside the bundle: do not use it")
    _check_listed(folder, manifest, entries)
    return manifest


def _check_listed(folder: Path, manifest: dict[str, Any], names: Iterable[str]) -> None:
    """Raise VerificationError for a file that is used but has no hash, so that nobody would see it change."""
    listed = {entry["path"] for entry in manifest["files"]}
    for name in names:
        if name not in listed:
            raise VerificationError(f"{folder / MANIFEST}: {name} is not among its files: do not use it")


def _is_inside(name: object) -> bool:
    """Whether a path of a manifest is relative and never climbs."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath("/")
    return not path.is_absolute() and ".." not in path.parts


def changed_files(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """What is missing or differs from its hash, one line each."""
    problems = []
    for entry in manifest["files"]:
        path = folder / entry["path"]
        if not path.is_file():
            problems.append(f"{entry['path']}: missing")
        elif path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
            problems.append(f"{entry['path']}: differs from its hash in the manifest")
    return problems


@dataclass
class Verified:
    """What ``verify`` found: files re-hashed, and each artifact's PSNR against its recorded sample."""

    folder: Path
    files: int
    parity: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"bundle": str(self.folder), "files": self.files, "parity": self.parity, "verified": True}

    def table(self) -> Any:
        """Rich table of the parity checks."""
        from rich.table import Table

        table = Table(title=f"{self.folder}: {self.files} files verified", title_justify="left")
        for name in ("artifact", "sample", "PSNR dB", "at least"):
            table.add_column(name, justify="left" if name in ("artifact", "sample") else "right")
        for p in self.parity:
            table.add_row(p["artifact"], p["sample"], f"{p['psnr_db']:.2f}", f"{p['bound']:.0f}")
        return table


def verify(folder: Path, progress: "Progress") -> Verified:
    """Re-hash every file and run every artifact again on its sample picture.

    Raises VerificationError, one line a problem, when a hash differs or an artifact no longer gives its picture;
    Unavailable when a runtime is missing.
    """
    manifest = read_manifest(folder)
    with progress.stage("hash files"):
        problems = changed_files(folder, manifest)
    if problems:
        raise VerificationError("\n".join(f"{folder}/{problem}" for problem in problems))
    result = Verified(folder, len(manifest["files"]))
    with progress.stage("run artifacts", len(manifest["artifacts"])) as stage:
        for artifact in manifest["artifacts"]:
            result.parity.extend(_rerun(folder, manifest, artifact))
            stage.advance()
    wrong = [p for p in result.parity if p["psnr_db"] < p["bound"]]
    if wrong:
        raise VerificationError(
            "\n".join(
                f"{folder}: {p['artifact']} gives {p['psnr_db']:.1f} dB against its own sample {p['sample']}, "
                f"{p['bound']:.0f} are asked: do not ship it"
                for p in wrong
            )
        )
    return result


def _rerun(folder: Path, manifest: dict[str, Any], artifact: dict[str, Any]) -> list[dict[str, Any]]:
    from compress.data.pictures import read_rgb, to_float, to_uint8
    from compress.export.deployed import picture_noise
    from compress.measure.machine import physical_cores
    from compress.measure.quality import psnr_db
    from compress.runtime.base import open_runner

    samples = json.loads((folder / "results.json").read_text(encoding="utf-8"))["samples"][:1]
    for sample in samples:
        _check_listed(folder, manifest, (sample["degraded"], sample["outputs"][artifact["id"]]))
    runner = open_runner(folder / artifact["entry"], artifact["format"], physical_cores())
    found = []
    for sample in samples:
        lq = to_float([read_rgb(folder / sample["degraded"])])
        noise = picture_noise(lq.shape[-1], manifest["seeds"]["noise"], sample["index"])
        output = to_uint8(runner.run(lq, noise.numpy())[0])
        psnr = psnr_db(output, read_rgb(folder / sample["outputs"][artifact["id"]]))
        bound = SAMPLE_PSNR_DB[artifact["precision"]]
        found.append({"artifact": artifact["id"], "sample": sample["name"], "psnr_db": round(psnr, 2), "bound": bound})
    return found
