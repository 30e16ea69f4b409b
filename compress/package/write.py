"""Writes a package: the artifact, the programs that run it, compress.json, README.md, licences, and last the manifest.

Its manifest.json has a bundle's form, with this one artifact, so that `compress restore` takes the folder as it takes a
bundle, and holds what it reads against its hashes.
"""

import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from compress.artifacts.export.shared_weights import join_weights
from compress.artifacts.runtime import executorch_import
from compress.bundle.manifest import write_manifest
from compress.bundle.open import Bundle, check_files, open_bundle
from compress.bundle.schema import ManifestArtifact
from compress.errors import InputError, VerificationError
from compress.files import PART, check_room, real_path, what_to_do
from compress.package.choose import choose
from compress.package.facts import ARTIFACT, FACTS, facts_of
from compress.package.readme import README, TEMPLATES, readme
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find, shipped
from compress.recipe.validation import load_model
from compress.restore.demo import OWN as PAGES
from compress.text import one_line

LICENCES = ("LICENSE", "NOTICE")
PROGRAMS = {
    "openvino": ("common", "openvino"),
    "onnx": ("common", "kotlin", "onnxruntime"),
    "executorch": ("common", "kotlin", "executorch"),
}
"""Folders of ``TEMPLATES`` whose files a package of each format holds."""
ONE_GRAPH = ("cpp", "android", "web")
"""Folders of programs that run an artifact of one graph only."""
SHARED = {
    "onnx": {"web/tiles.js": PAGES / "tiles.js"},
    "executorch": {"executorch_import.py": Path(executorch_import.__file__)},
}
"""Files of this package itself that are copied beside them."""


def package(bundle: Path, target: str, out: Path, artifact: str | None = None) -> Path:
    """Write a package of ``bundle`` for ``target``, a name or a YAML file, to ``out``, a folder that is new or empty.

    ``artifact``: its id; by default the best that runs there (``choose``). Returns ``out``.
    Raises InputError for an unknown target or artifact, one that does not fit the other, or a folder that is in use
    or lies in the bundle; VerificationError for a bundle that is not as its manifest says.
    """
    device = load_model(DeployTarget, find("targets", target))
    _check_new(out, bundle)
    opened = open_bundle(bundle)
    check_files(opened)
    chosen = choose(opened, device, artifact)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=PART, dir=out.parent))
        try:
            _write(opened, chosen, device, part)
            os.umask(umask := os.umask(0))
            part.chmod(0o777 & ~umask)
            os.replace(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise _refused(out, error) from None
    return out


def _check_new(out: Path, bundle: Path) -> None:
    check_room(out)
    # Not Path.resolve, which fails at links in a circle.
    if real_path(bundle) in real_path(out).parents:
        raise InputError(f"{out}: lies in the bundle, which holds what its manifest lists alone: name another")
    try:
        if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
            return
    except OSError as error:
        raise _refused(out, error) from None
    what = "is a folder with files in it" if out.is_dir() else "is a file"
    raise InputError(f"{out}: {what}: name a new or an empty folder")


def _refused(out: Path, error: OSError) -> InputError:
    return InputError(f"{out}: cannot be written ({error.strerror or error}): {what_to_do(error)}")


def _write(bundle: Bundle, artifact: ManifestArtifact, target: DeployTarget, folder: Path) -> None:
    facts = facts_of(bundle, artifact, target)
    bundle.copy_artifact(artifact, folder / ARTIFACT)
    if artifact.format == "onnx":
        for graph in artifact.graphs:
            _join_weights(bundle, graph, folder / ARTIFACT / graph)
    left_out = shutil.ignore_patterns("__pycache__", *(ONE_GRAPH if artifact.stages else ()))
    for programs in PROGRAMS[artifact.format]:
        shutil.copytree(TEMPLATES / programs, folder, ignore=left_out, dirs_exist_ok=True)
    for name, own in SHARED.get(artifact.format, {}).items():
        if (folder / name).parent.is_dir():
            shutil.copyfile(own, folder / name)
    (folder / "licences").mkdir()
    for name in LICENCES:
        shutil.copyfile(shipped(name), folder / "licences" / name)
    (folder / FACTS).write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")
    (folder / README).write_text(readme(bundle, facts), encoding="utf-8")
    manifest = bundle.manifest.to_json()
    kept = {key: manifest[key] for key in ("created", "name", "weights", "versions") if manifest.get(key) is not None}
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    places = {"entry": facts.model, **({"stages": facts.stages} if facts.stages else {})}
    write_manifest(folder, {**kept, "artifacts": [{**artifact.to_json(), **places}]}, files)


def _join_weights(bundle: Bundle, graph: str, copied: Path) -> None:
    try:
        join_weights(copied)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of onnx and of protobuf: places outside of the file, more than 2 GB
        raise VerificationError(
            f"{bundle.folder / graph}: its weights cannot be joined to it ({one_line(str(error))}): do not use it"
        ) from None
