"""Fuzzing of the parsers by coverage, with atheris: ``python -m tests.reliability.coverage PARSER SEEDS -runs=N``.

A parser reads a file, and may refuse it by an error of this project's own; anything else ends the process. The seeds,
files of the kind, are where libFuzzer begins; what libFuzzer finds is in ``crash-*`` in the working folder.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.reliability.base import Base, emptied
from tests.reliability.section import Section

LIMIT_S = 1800


def _recipe(path: Path) -> None:
    from compress.recipe.load import load_any

    load_any(str(path))


def _target(path: Path) -> None:
    from compress.recipe.deploy_target import DeployTarget
    from compress.recipe.library import find
    from compress.recipe.validation import load_model

    load_model(DeployTarget, find("targets", str(path)))


def _checkpoint(path: Path) -> None:
    from compress.elir.metadata import count_values, read_metadata

    read_metadata(path)
    count_values(path)


def _manifest(path: Path) -> None:
    from compress.bundle.manifest import read_manifest

    read_manifest(path.parent)


# The file that a parser reads, by its name.
PARSERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "recipe": ("recipe.yaml", _recipe),
    "target": ("target.yaml", _target),
    "checkpoint": ("model.safetensors", _checkpoint),
    "manifest": ("manifest.json", _manifest),
}


def run(base: Base, section: Section, runs: int, seed: int) -> None:
    """Every parser ``runs`` times, where atheris is installed; told as not tried where not."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        section.tell("fuzzing by coverage", "not tried: pip install atheris")
        return
    for name in PARSERS:
        folder = emptied(base.folder / "coverage")
        write_seeds(base, name, folder / "seeds")
        options = [f"-runs={runs}", f"-seed={seed + 1}", "-max_len=4096", "-timeout=10"]
        command = [sys.executable, "-m", "tests.reliability.coverage", name, "seeds", *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)
        lines = done.stderr.splitlines()
        message = next((line for line in lines if line.startswith("Uncaught") or "Error" in line), "ended early")
        section.add(f"fuzzing by coverage: {name}", [message] if done.returncode else [], f"seed {seed}, {runs} runs")
        section.tell(f"inputs given to the parser of a {name}", _count(lines))


def _count(lines: list[str]) -> int:
    """Inputs tried, as libFuzzer counts them."""
    done = [line.split()[1] for line in lines if line.startswith("Done ")]
    return int(done[0]) if done else 0


def write_seeds(base: Base, name: str, folder: Path) -> None:
    """Files from which the fuzzer of a parser begins."""
    folder.mkdir()
    if name == "checkpoint":
        data = base.checkpoint.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        few = json.dumps({key: header[key] for key in [*list(header)[:3], "__metadata__"]}).encode()
        (folder / "0").write_bytes(len(few).to_bytes(8, "little") + few)
    elif name == "manifest":
        manifest = json.loads((base.bundle() / "manifest.json").read_text())
        for i, (key, value) in enumerate(manifest.items()):
            (folder / str(i)).write_text(json.dumps({key: value}))
    elif name == "recipe":
        (folder / "0").write_bytes(base.recipe.read_bytes())
    else:
        import compress

        targets = Path(compress.__file__).parent.parent / "deploy_targets"
        for i, path in enumerate(sorted(targets.glob("*.yaml"))):
            (folder / str(i)).write_bytes(path.read_bytes())


def main() -> None:
    """libFuzzer's own loop; never returns."""
    import tempfile

    import atheris

    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["compress", "yaml"]):
        file, parse = PARSERS[name]
        import compress.bundle.manifest
        import compress.recipe.load
        import compress.recipe.validation  # noqa: F401
    from compress.errors import CompressError

    path = Path(tempfile.mkdtemp(prefix="compress-fuzz-")) / file

    def one(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(CompressError):
            parse(path)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
