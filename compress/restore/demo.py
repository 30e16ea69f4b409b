"""`compress demo`: a page, served on loopback only, that restores pictures in the browser with a bundle's artifact."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.bundle.manifest import read_manifest
from compress.elir.restore import noise_field
from compress.elir.tiles import DEFAULT_OVERLAP, GRID
from compress.errors import InputError
from compress.measure.machine import physical_cores
from compress.recipe.task import TASKS, task_scale
from compress.targets.browser.chromium import PAGES, Content, Pages
from compress.targets.browser.onnxruntime_web import runtime_files

if TYPE_CHECKING:
    from compress.progress import Progress

OWN = Path(__file__).with_name("pages")
FILES = ("demo.js", "demo.css", "demo_worker.js", "tiles.js")
LARGEST = 4096 * 8192  # px of the noise that is given out
WHAT = {
    **dict.fromkeys(("denoise", "denoise_published"), "removes noise"),
    **dict.fromkeys(("inpaint", "inpaint_published", "inpaint_square"), "fills lost pixels"),
    "deblur": "removes blur",
    "colorize": "adds colours",
}


def demo(bundle: Path, artifact: str | None, port: int, progress: "Progress") -> Pages:
    """The pages of a bundle's demo, not served yet. ``artifact``: an ONNX one; by default int8, else the smallest.

    The result is what ``compress restore`` gives by ONNX Runtime with the same seed, 0, but for the runtimes' own
    rounding. Raises InputError for a bundle without ONNX, and as ``runtime_files``.
    """
    chosen = choose(bundle, artifact)
    contents: dict[str, Content] = {
        **runtime_files(progress),
        **{name: OWN / name for name in FILES},
        "runtime.js": PAGES / "runtime.js",
        "index.html": OWN / "demo.html",
        "model.onnx": chosen.path,
        "facts.json": json.dumps(page_facts(bundle, chosen)).encode(),
        "noise.bin": noise,
    }
    return Pages(contents, port)


@dataclass(frozen=True)
class OnnxArtifact:
    """An ONNX artifact of a bundle. ``inputs``: the shape of each, by name."""

    id: str
    path: Path
    task: str | None
    inputs: dict[str, list[int]]

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


def choose(bundle: Path, wanted: str | None) -> OnnxArtifact:
    """The artifact to show: ``wanted`` by its id, else the int8 one, else the smallest."""
    known = {
        a["id"]: OnnxArtifact(
            a["id"], bundle / a["entry"], a["task"], {port["name"]: port["shape"] for port in a["inputs"]}
        )
        for a in read_manifest(bundle)["artifacts"]
        if a["format"] == "onnx"
    }
    if not known:
        raise InputError(f"{bundle}: holds no ONNX artifact, which a browser runs: add export.onnx to its recipe")
    if wanted is None:
        return min(known.values(), key=lambda artifact: (artifact.id != "onnx-int8", artifact.bytes))
    if wanted not in known:
        raise InputError(f"{bundle}: has no ONNX artifact {wanted}: give one of {', '.join(known)}")
    return known[wanted]


def page_facts(bundle: Path, artifact: OnnxArtifact) -> dict[str, object]:
    """What the page needs to know of an artifact, for JSON."""
    task = artifact.task
    if task not in TASKS:
        raise InputError(f"{bundle}: its task is not known (={task}): use compress restore")
    scale = task_scale(task)
    tile = artifact.inputs["lq"][2:]
    return {
        "name": bundle.resolve().name,
        "what": WHAT.get(task, f"enlarges {scale} times" if scale > 1 else "restores"),
        "artifact": artifact.id,
        "bytes": artifact.bytes,
        "scale": scale,
        "inputs": artifact.inputs,
        "tile": tile,
        "overlap": max(0, min(DEFAULT_OVERLAP, min(tile) - GRID)),
        "threads": physical_cores(),
    }


def noise(query: Mapping[str, str]) -> bytes:
    """The noise under a picture of ``height`` x ``width`` px, as `compress restore` has it. Raises ValueError."""
    height, width = (int(query.get(name, "")) for name in ("height", "width"))
    if not 0 < height * width <= LARGEST:
        raise ValueError(f"{height} x {width} px")
    return noise_field(height, width, seed=0).tobytes()
