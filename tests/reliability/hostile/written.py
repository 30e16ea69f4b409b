"""Files written anew by the schemas' grammar, and the commands that read them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.reliability.base import Base, replace
from tests.reliability.hostile.grammar import documents
from tests.reliability.hostile.strategies import dumped

Files = st.SearchStrategy[Any]
BUNDLE_COMMANDS = ("verify", "restore", "report", "import", "check", "bench")


def yaml_files(kind: str) -> Callable[[Base], Files]:
    """YAML documents of a schema that `compress schema` knows."""

    def strategy(base: Base) -> Files:
        from compress.cli.yaml_kinds import SCHEMAS

        folders = [str(base.inputs / name) for name in ("calibration", "validation")]
        weights = st.sampled_from([str(base.checkpoint), "elir_sr_x4"])
        known = {
            "weights": weights,
            "calibration": st.sampled_from([folders[0], "photos_calibration"]),
            "validation": st.sampled_from([[folders[1]], [folders[1], "photos_validation"]]),
            "path": st.sampled_from(folders),
            "recipe": st.just(str(base.recipe)),
            "extends": st.just(str(base.recipe)),
            "version": st.just(1),
            "crop": st.just(64),
            "image_size": st.just(64),
        }
        return documents(SCHEMAS[kind], known).map(dumped)

    return strategy


def bundle_file(name: str) -> tuple[Callable[[Base], Files], Callable[[Base, Any, Path], Sequence[str]]]:
    """Of manifest.json or results.json, written anew, with the command that reads the bundle: strategy and prepare."""

    def strategy(base: Base) -> Files:
        from compress.bundle.schema import Manifest
        from compress.results.document import Results

        good = json.loads((base.bundle() / name).read_text())
        known = {"schema_version": st.just(1)}
        for key in ("artifacts", "files", "seeds", "samples", "machine", "quality"):
            if key in good:
                known[key] = st.just(good[key])
        paths = sorted(entry["path"] for entry in json.loads((base.bundle() / "manifest.json").read_text())["files"])
        ids = [entry["id"] for entry in good["artifacts"]]
        known |= {"path": st.sampled_from(paths), "entry": st.sampled_from(paths), "artifact": st.sampled_from(ids)}
        model = Manifest if name == "manifest.json" else Results
        return st.tuples(documents(model, known), st.sampled_from(BUNDLE_COMMANDS))

    def prepare(base: Base, example: tuple[Any, str], folder: Path) -> Sequence[str]:
        from tests.reliability.hostile.kinds import bundle_command, rehash

        document, what = example
        bundle = base.copy_bundle(folder / "bundle")
        replace(bundle / name, json.dumps(document).encode(errors="replace"))
        if name == "results.json":  # a stranger's has the right hash
            rehash(bundle, name)
        return bundle_command(base, bundle, what, folder)

    return strategy, prepare
