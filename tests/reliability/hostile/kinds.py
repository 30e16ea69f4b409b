"""Kinds of hostile files: how each is made, which command reads it, and the exit codes that it may end with."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.reliability.base import Base, replace
from tests.reliability.hostile import checkpoints, folders, pictures, resumed, written
from tests.reliability.hostile.strategies import SCALARS, WORDS, changed, damaged_bytes, json_texts, yaml_texts

CALIBRATION = {
    "version": 1,
    "name": "own",
    "source": {"kind": "folder", "path": "PICTURES"},
    "count": 8,
    "crop": 64,
    "degradation": [{"kind": "sr", "scale": 4}],
    "seed": 0,
}
Prepare = Callable[[Base, Any, Path], Sequence[str]]


@dataclass(frozen=True)
class Kind:
    """``prepare`` writes an example into a folder and gives the command's arguments."""

    name: str
    weight: int
    strategy: Callable[[Base], st.SearchStrategy[Any]]
    prepare: Prepare
    codes: frozenset[int]
    limit_s: float = 60.0


def _recipe_document(base: Base) -> dict[str, Any]:
    return dict(yaml.safe_load(base.recipe.read_text()))


def _package_document(folder: str, name: str) -> dict[str, Any]:
    import compress

    path = Path(compress.__file__).parent.parent / folder / f"{name}.yaml"
    return dict(yaml.safe_load(path.read_text()))


def _validate(base: Base, example: bytes, folder: Path) -> Sequence[str]:
    (folder / "hostile.yaml").write_bytes(example)
    return ["validate", str(folder / "hostile.yaml")]


def _calibration(base: Base, example: bytes, folder: Path) -> Sequence[str]:
    (folder / "set.yaml").write_bytes(example.replace(b"PICTURES", str(base.inputs / "calibration").encode()))
    setting = f"data.calibration={folder / 'set.yaml'}"
    return ["apply", str(base.recipe), "--out", str(folder / "out"), "--dry-run", "--json", "--set", setting]


def _target(base: Base, example: bytes, folder: Path) -> Sequence[str]:
    (folder / "target.yaml").write_bytes(example)
    recipe = ["apply", str(base.recipe), "--out", str(folder / "out"), "--dry-run", "--json"]
    return [*recipe, "--target", str(folder / "target.yaml")]


def _sweep(base: Base, example: bytes, folder: Path) -> Sequence[str]:
    (folder / "sweep.yaml").write_bytes(example)
    return ["sweep", str(folder / "sweep.yaml"), "--dry-run", "--out", str(folder / "out")]


def _setting(base: Base, example: list[str], folder: Path) -> Sequence[str]:
    return ["validate", str(base.recipe), *(part for text in example for part in ("--set", text.replace("\0", "")))]


def _settings(base: Base) -> st.SearchStrategy[list[str]]:
    keys = st.sampled_from(
        ["model.image_size", "passes.0.collapse", "goals.speedup", "data", "export.onnx.opset", "a..b"]
    )
    one = st.builds(lambda key, value: f"{key}={value}", keys | WORDS, st.one_of(WORDS, SCALARS.map(repr)))
    return st.lists(one, min_size=1, max_size=3)


def _manifest_case(base: Base) -> st.SearchStrategy[Any]:
    folder = base.bundle()
    name = st.sampled_from(["manifest.json", "results.json"])
    command = st.sampled_from(["verify", "restore", "report", "import", "bench", "check", "compare"])
    documents = {n: json.loads((folder / n).read_text()) for n in ("manifest.json", "results.json")}
    return name.flatmap(lambda n: st.tuples(st.just(n), _part_changed(documents[n]), command, st.booleans()))


# What commands read of them; the rest (versions, the run's key) is for people.
READ = ("schema_version", "files", "artifacts", "seeds", "samples", "quality", "performance", "machine", "goals")


def _part_changed(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    read = {name: value for name, value in document.items() if name in READ}
    rest = {name: value for name, value in document.items() if name not in READ}
    part = st.sampled_from(sorted(read)).flatmap(
        lambda n: changed({n: read[n]}).map(lambda made: _joined(rest, read, n, made))
    )
    return st.one_of(part, part, part, json_texts(document))


def _joined(rest: dict[str, Any], read: dict[str, Any], name: str, made: Any) -> bytes:
    others = {key: value for key, value in read.items() if key != name}
    whole = {**rest, **others, **made} if isinstance(made, dict) else made
    return json.dumps(whole).encode(errors="replace")


def _manifest(base: Base, example: Any, folder: Path) -> Sequence[str]:
    name, text, what, hashed = example
    bundle = base.copy_bundle(folder / "bundle")
    replace(bundle / name, text)
    if name == "results.json" and hashed:
        rehash(bundle, name)
    return bundle_command(base, bundle, what, folder)


def rehash(bundle: Path, name: str) -> None:
    """Make a forged file's hash right in the manifest, as a stranger who builds a bundle would."""
    from compress.files import sha256_file

    manifest = json.loads((bundle / "manifest.json").read_text())
    path = bundle / name
    for entry in manifest["files"]:
        if entry["path"] == name:
            entry.update(bytes=path.stat().st_size, sha256=sha256_file(path))
    replace(bundle / "manifest.json", json.dumps(manifest).encode())


def bundle_command(base: Base, bundle: Path, what: str, folder: Path) -> Sequence[str]:
    """Arguments of a command that reads a bundle."""
    return {
        "verify": ["verify", str(bundle)],
        "restore": ["restore", str(bundle), str(base.picture), "-o", str(folder / "restored.png")],
        "report": ["report", str(bundle), "-o", str(folder / "report.html")],
        "import": ["ledger", "import", str(bundle)],
        "bench": ["bench", str(bundle), "--target", "rpi5", "--host", "nobody@192.0.2.1"],
        "check": ["check", str(bundle)],
        "compare": ["compare", str(bundle), str(base.bundle())],
    }[what]


def _escapes(base: Base) -> st.SearchStrategy[Any]:
    folder = base.bundle()
    manifest = json.loads((folder / "manifest.json").read_text())
    results = json.loads((folder / "results.json").read_text())
    outside = st.sampled_from(
        ["../secret.xml", "/etc/passwd", "int8/../../secret.xml", "link/secret.xml", "int8/openvino/link.xml"]
    )
    field = st.sampled_from(["file", "entry", "sample", "degraded"])
    command = st.sampled_from(["verify", "restore", "report", "import", "check"])
    return st.tuples(st.just(manifest), st.just(results), outside, field, command, st.booleans())


def _escape(base: Base, example: Any, folder: Path) -> Sequence[str]:
    manifest, results, path, field, what, listed = json.loads(json.dumps(example))
    bundle = base.copy_bundle(folder / "bundle")
    (folder / "secret.xml").write_bytes((bundle / manifest["artifacts"][0]["entry"]).read_bytes())
    (bundle / "link").symlink_to(folder)
    (bundle / "int8/openvino/link.xml").symlink_to(folder / "secret.xml")
    if field == "file":
        manifest["files"][0]["path"] = path
    elif field == "entry":
        manifest["artifacts"][-1]["entry"] = path
    elif field == "sample":
        results["samples"][0]["outputs"] = dict.fromkeys(results["samples"][0]["outputs"], path)
    else:
        results["samples"][0]["degraded"] = path
    if listed:
        manifest["files"].append({"path": path, "bytes": 1, "sha256": "0" * 64})
    replace(bundle / "manifest.json", json.dumps(manifest).encode())
    if field in ("sample", "degraded"):
        replace(bundle / "results.json", json.dumps(results).encode())
        rehash(bundle, "results.json")
    return bundle_command(base, bundle, what, folder)


def _altered(format: str) -> Callable[[Base], st.SearchStrategy[Any]]:
    def strategy(base: Base) -> st.SearchStrategy[Any]:
        bundle = base.bundle(format)
        names = sorted(p.relative_to(bundle).as_posix() for p in bundle.glob("*/*/model*"))
        command = st.sampled_from(["verify", "restore"])
        other = {n: damaged_bytes((bundle / n).read_bytes()) for n in names}
        return st.sampled_from(names).flatmap(lambda n: st.tuples(st.just(n), other[n], command))

    return strategy


def _alter(format: str) -> Prepare:
    def prepare(base: Base, example: Any, folder: Path) -> Sequence[str]:
        name, data, what = example
        bundle = base.copy_bundle(folder / "bundle", format)
        if data == (bundle / name).read_bytes():
            data += b"\n"
        replace(bundle / name, data)
        # `restore` opens one int8 artifact alone.
        opened = name.startswith("int8") and "tensorrt" not in name
        return bundle_command(base, bundle, what if opened else "verify", folder)

    return prepare


def _bare(format: str) -> Prepare:
    def prepare(base: Base, example: Any, folder: Path) -> Sequence[str]:
        name, data, _ = example
        bundle = base.copy_bundle(folder / "bundle", format)
        (bundle / "manifest.json").unlink()
        replace(bundle / name, data)
        entry = (bundle / name).with_suffix(".xml" if format == "openvino" else Path(name).suffix)
        return ["restore", str(entry), str(base.picture), "-o", str(folder / "restored.png")]

    return prepare


def _ledger(base: Base, example: tuple[bytes, str], folder: Path) -> Sequence[str]:
    data, what = example
    (folder / "ledger.sqlite").write_bytes(data)
    return {
        "ls": ["ledger", "ls", "--json"],
        "pareto": ["ledger", "pareto"],
        "import": ["ledger", "import", str(base.bundle())],
        "report": ["report", "-o", str(folder / "report.html")],
    }[what]


def _ledgers(base: Base) -> st.SearchStrategy[Any]:
    import sqlite3

    base.bundle()
    with sqlite3.connect(base.folder / "ledger.sqlite") as connection:
        good = connection.serialize()
    return st.tuples(damaged_bytes(good), st.sampled_from(["ls", "pareto", "import", "report"]))


def _export(base: Base, example: bytes, folder: Path) -> Sequence[str]:
    (folder / "rows.json").write_bytes(example)
    return ["ledger", "import", str(folder / "rows.json")]


def _exports(base: Base) -> st.SearchStrategy[bytes]:
    from sqlalchemy import URL

    from compress.ledger.exchange import write_rows
    from compress.ledger.place import DRIVERS
    from compress.ledger.store import Ledger

    path = base.folder / "rows.json"
    base.bundle()
    url = URL.create(DRIVERS["sqlite"], database=str(base.folder / "ledger.sqlite"))
    write_rows(Ledger(url).rows(pictures=True), path)
    return json_texts(json.loads(path.read_text()))


_SAFE = frozenset({0, 2})
_READ = frozenset({0, 2, 5})
_BUNDLE = frozenset({0, 2, 3, 4, 5})
KINDS = (
    Kind("recipe", 24, lambda b: yaml_texts(_recipe_document(b)), _validate, _SAFE),
    Kind("training recipe", 8, lambda b: yaml_texts(_package_document("recipes", "train_sr_x4")), _validate, _SAFE),
    Kind("calibration set", 8, lambda b: yaml_texts(CALIBRATION), _calibration, _SAFE),
    Kind("target", 8, lambda b: yaml_texts(_package_document("deploy_targets", "rpi5")), _target, _SAFE),
    Kind("setting", 6, _settings, _setting, _SAFE),
    Kind("checkpoint", 16, checkpoints.strategy, checkpoints.prepare, _READ),
    Kind("pickled checkpoint", 8, checkpoints.pickled, checkpoints.prepare_pickled, _READ),
    Kind("checkpoint described by names", 6, checkpoints.described, checkpoints.prepare_pickled, _READ),
    Kind("manifest or results", 20, _manifest_case, _manifest, _BUNDLE),
    Kind("path that escapes", 4, _escapes, _escape, frozenset({0, 2, 5})),
    Kind("picture", 16, pictures.strategy, pictures.prepare, _SAFE),
    Kind("altered IR of a bundle", 4, _altered("openvino"), _alter("openvino"), frozenset({5})),
    Kind("altered ONNX of a bundle", 4, _altered("onnx"), _alter("onnx"), frozenset({5})),
    Kind("altered PTE of a bundle", 4, _altered("executorch"), _alter("executorch"), frozenset({5})),
    Kind("damaged IR", 4, _altered("openvino"), _bare("openvino"), _READ),
    Kind("damaged ONNX", 4, _altered("onnx"), _bare("onnx"), _READ),
    Kind("damaged PTE", 4, _altered("executorch"), _bare("executorch"), _READ),
    Kind("folder", 12, folders.strategy, folders.prepare, _BUNDLE),
    Kind("folder to go on in", 3, resumed.strategy, resumed.prepare, _READ, 180.0),
    Kind("recipe by grammar", 12, written.yaml_files("recipe"), _validate, _SAFE),
    Kind("training recipe by grammar", 4, written.yaml_files("train"), _validate, _SAFE),
    Kind("calibration set by grammar", 6, written.yaml_files("calibration"), _calibration, _SAFE),
    Kind("target by grammar", 6, written.yaml_files("target"), _target, _SAFE),
    Kind("sweep by grammar", 6, written.yaml_files("sweep"), _sweep, _SAFE),
    Kind("sweep folder by grammar", 6, written.sweep_folder, written.prepare_sweep, _SAFE),
    Kind("results by grammar", 12, *written.bundle_file("results.json"), _BUNDLE),
    Kind("manifest by grammar", 8, *written.bundle_file("manifest.json"), _BUNDLE),
    Kind("ledger", 6, _ledgers, _ledger, frozenset({0, 2, 4, 5})),
    Kind("ledger export", 4, _exports, _export, _READ),
)
