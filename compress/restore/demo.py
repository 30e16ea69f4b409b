"""`compress demo`: a page that restores pictures in the browser with a bundle's artifact."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compress.artifacts.runtime.base import IMAGE
from compress.bundle.open import Bundle, open_bundle
from compress.elir.latent import SIZE_MULTIPLE
from compress.elir.noise import noise_field
from compress.errors import InputError
from compress.files import real_path
from compress.measure.machine import physical_cores
from compress.recipe.image_size import Shape
from compress.recipe.task import TASKS, task_scale
from compress.restore.open import default_overlap
from compress.results.file import RESULTS
from compress.targets.browser.chromium import LOOPBACK, PAGES, Content, Pages, address_of
from compress.targets.browser.onnxruntime_web import runtime_files
from compress.text import printable

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


def demo(bundle: Path, artifact: str | None, port: int, progress: "Progress", *, host: str = LOOPBACK) -> Pages:
    """The pages of a bundle's demo, not served yet. ``artifact``: an ONNX one; by default int8, else the smallest.

    ``host``: the IP address to listen on.

    The result is what ``compress restore`` gives by ONNX Runtime with the same seed, 0, but for the runtimes' own
    rounding. Raises InputError for a bundle without ONNX or a ``host`` other than an address, and as ``runtime_files``.
    """
    address_of(host)  # before anything is fetched
    opened = open_bundle(bundle)
    chosen = choose(opened, artifact)
    facts = page_facts(bundle, chosen)
    sample = sample_picture(opened, task_scale(chosen.task))  # type: ignore[arg-type]
    contents: dict[str, Content] = {
        **runtime_files(progress),
        **{name: OWN / name for name in FILES},
        "runtime.js": PAGES / "runtime.js",
        "index.html": OWN / "demo.html",
        "model.onnx": chosen.model,
        **{f"weights-{i}": data for i, data in enumerate(chosen.external.values())},
        "facts.json": json.dumps({**facts, "sample": sample[0] if sample else None}).encode(),
        "noise.bin": noise,
        **({"sample.png": sample[1]} if sample else {}),
    }
    return Pages(contents, port, host=host)


@dataclass(frozen=True)
class OnnxArtifact:
    """An ONNX artifact of a bundle. ``model``: the file's bytes; ``inputs``: the shape of each, by name; ``tile``:
    height and width in px of what it gives; ``external``: files that it keeps weights in, as it names them.
    """

    id: str
    model: bytes
    task: str | None
    inputs: dict[str, list[int]]
    tile: Shape
    external: dict[str, bytes] = field(default_factory=dict)


def choose(opened: Bundle, wanted: str | None) -> OnnxArtifact:
    """The artifact to show: ``wanted`` by its id, else the int8 one, else the smallest."""
    bundle = opened.folder
    known = {a.id: a for a in opened.manifest.artifacts if a.format == "onnx"}
    if any(facts.stages for facts in known.values()):
        raise InputError(
            f"{bundle}: the demo's page runs one graph, not the three of export.layout: staged: leave it out"
        )
    if not known:
        raise InputError(f"{bundle}: holds no ONNX artifact, which a browser runs: add export.onnx to its recipe")
    if wanted is None:
        wanted = min(known, key=lambda id: (id != "onnx-int8", opened.file(known[id].entry).bytes))
    if wanted not in known:
        raise InputError(f"{bundle}: has no ONNX artifact {wanted}: give one of {', '.join(known)}")
    facts = known[wanted]
    tile, contents = opened.shape(facts), opened.open_artifact(facts).contents
    inputs = {port.name: port.shape for port in facts.inputs}
    return OnnxArtifact(wanted, contents.entry, facts.task, inputs, tile, dict(contents.external))


def page_facts(bundle: Path, artifact: OnnxArtifact) -> dict[str, object]:
    """What the page needs to know of an artifact, for JSON."""
    task = artifact.task
    if task not in TASKS:
        raise InputError(f"{bundle}: its task is not known (={task}): use compress restore")
    scale = task_scale(task)
    return {
        "name": printable(real_path(bundle).name),
        "what": WHAT.get(task, f"enlarges {scale} times" if scale > 1 else "restores"),
        "artifact": artifact.id,
        "bytes": len(artifact.model) + sum(map(len, artifact.external.values())),
        "external": [{"path": name, "url": f"weights-{i}"} for i, name in enumerate(artifact.external)],
        "scale": scale,
        "inputs": artifact.inputs,
        "images": IMAGE in artifact.inputs,
        "tile": list(artifact.tile),
        "overlap": default_overlap(artifact.tile),
        "threads": physical_cores(),
    }


def sample_picture(opened: Bundle, scale: int) -> tuple[str, bytes] | None:
    """Name and PNG file of a picture to try: the bundle's first sample, small where the model enlarges.

    None for a bundle without samples.
    """
    from PIL import Image

    from compress.report.pictures import pixels

    samples = opened.results().samples if RESULTS in opened.listed else []
    if not samples:
        return None
    # The truth, reduced, not what was enlarged: that is blurred, reduced again it is blurred twice.
    source = samples[0].degraded if scale == 1 else samples[0].clean or samples[0].degraded
    picture = Image.fromarray(pixels(opened.read(source)))
    small = picture.resize((max(1, picture.width // scale), max(1, picture.height // scale)), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "PNG")
    return printable(samples[0].name), file.getvalue()


def noise(query: Mapping[str, str]) -> bytes:
    """The noise under a picture of ``height`` x ``width`` px, as `compress restore` has it. Raises ValueError."""
    height, width = (int(query.get(name, "")) for name in ("height", "width"))
    # Noise covers whole latents: under a line of one px there are 32.
    if min(height, width) <= 0 or max(height, SIZE_MULTIPLE) * max(width, SIZE_MULTIPLE) > LARGEST:
        raise ValueError(f"{height} x {width} px")
    return noise_field(height, width, seed=0).tobytes()
