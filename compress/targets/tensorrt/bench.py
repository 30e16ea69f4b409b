"""Artifacts through TensorRT-RTX's parser -> ``performance`` entries of evidence parsed."""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import CompressError
from compress.python_process import python_command, python_environment
from compress.recipe.schema import DeployTarget
from compress.targets.entries import EMPTY, Artifacts

if TYPE_CHECKING:
    from compress.progress import Progress

PARSE_S = 900

PARSER = Path(__file__).with_name("parse.py")


def bench_parsed(artifacts: Artifacts, target: DeployTarget, progress: "Progress") -> list[dict[str, Any]]:
    """Show every artifact to TensorRT-RTX's ONNX parser, and to the checks that need none (``lint``).

    ``accepted``, ``parser`` (``version``, ``layers`` by type); a refused artifact has ``why`` and evidence unavailable.
    """
    from compress.artifacts.inspect.tensorrt_rules import lint
    from compress.targets.tools.tensorrt_rtx import TensorrtRtx

    tool = TensorrtRtx()
    tool.require()
    entries = []
    with progress.stage(f"parse {target.name}", len(artifacts)) as stage:
        for name, (path, _) in artifacts.items():
            stage.note(name)
            entries.append(_parsed(name, target, lint(path), _parse(path, tool.site)))
            stage.advance()
    return entries


def _parse(path: Path, site: Path) -> dict[str, Any]:
    command = python_command(str(PARSER), str(path))
    try:
        done = subprocess.run(command, capture_output=True, env=python_environment(site), timeout=PARSE_S)
    except subprocess.TimeoutExpired:
        raise CompressError(f"{path}: TensorRT-RTX's parser was not done after {PARSE_S} s") from None
    if done.returncode:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1][:200]
        raise CompressError(f"{path}: TensorRT-RTX's parser ended with {done.returncode} ({last})")
    return dict(json.loads(done.stdout))


def _parsed(name: str, target: DeployTarget, breaches: list[str], found: dict[str, Any]) -> dict[str, Any]:
    errors = found["errors"] or ["no message"]
    common = {"artifact": name, "target": target.name}
    facts = {
        "accepted": found["accepted"],
        "lint": breaches,
        "parser": {"tensorrt_rtx": found["version"], "layers": found["layers"]},
        "machine": {"cpu": "none: parsed by TensorRT-RTX"},
    }
    if found["accepted"]:
        return {**common, "evidence": "parsed", **EMPTY, **facts}
    why = f"target {target.name}: {name}: the parser refuses it: {errors[0][:300]}"
    return {**common, "evidence": "unavailable", **EMPTY, **facts, "why": why}
