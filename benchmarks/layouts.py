"""A whole picture by every form of an artifact: ``python benchmarks/layouts.py OUT [PICTURE]``.

Forms: one graph of floats, one of pictures of 8 bits (``io: uint8``), three graphs (``layout: staged``); fp32 and int8,
by each runtime. OUT keeps the artifacts of the recipe int8_sr, quantized once with its own calibration set, its weights
rounded to nearest. Each restores PICTURE (by default scikit-image's astronaut, reduced four times) in a process of its
own, which is timed after a first run: CPU time of all threads, which other work hardly changes, beside the clock's. The
difference is from the checkpoint's picture in one piece; of int8 it holds
what quantization changes, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from compress.data.pictures import read_rgb

if TYPE_CHECKING:
    from compress.recipe.schema import Format, Precision

RUNS = 3
FORMS: dict[str, dict[str, str]] = {"one graph": {}, "uint8": {"io": "uint8"}, "staged": {"layout": "staged"}}
PRECISIONS: "tuple[Precision, ...]" = ("fp32", "int8")
FORMATS: "tuple[Format, ...]" = ("openvino", "onnx", "executorch")


def write(out: Path, formats: "Sequence[Format]", given: list[str]) -> None:
    """Write what OUT does not hold yet of ``formats``, by the recipe with the settings ``given``."""
    from compress.artifacts.artifact import plan_artifacts
    from compress.pipeline.context import RunContext
    from compress.pipeline.models import Models
    from compress.progress import Progress
    from compress.recipe.load import load_recipe

    chosen = ["passes.3.ptq.rounding=nearest", *(f"export.{f}.precisions=[fp32,int8]" for f in FORMATS)]
    models: Models | None = None
    for form, settings in FORMS.items():
        own = [f"export.{key}={value}" for key, value in settings.items()]
        recipe = load_recipe("int8_sr", [*chosen, "export.onnx.tensorrt=false", *own, *given])
        context = RunContext(recipe, out / form, Progress("plain"))
        todo = [a for a in plan_artifacts(recipe) if not all((out / form / file).exists() for file in a.files)]
        todo = [a for a in todo if a.format in formats]
        if todo and models is None:
            models = Models(context)
        for artifact in todo:
            assert models is not None
            if artifact.precision == "int8":
                context.writer.write_int8(models.quantized, artifact)
            elif artifact.format == "executorch":
                context.writer.lower(models.float_model(artifact), artifact)
            else:
                context.writer.write_float(models.float_model(artifact), artifact)
        for artifact in todo:
            if artifact.format == "executorch":
                context.writer.lowered(artifact)
        context.writer.close()


def small_picture(path: Path | None) -> "np.ndarray":
    """(H, W, 3) uint8."""
    if path is not None:
        return read_rgb(path)
    from skimage import data

    whole = Image.fromarray(data.astronaut())
    return np.asarray(whole.resize((whole.width // 4, whole.height // 4), Image.Resampling.BICUBIC))


def restore(entry: Path, picture: Path, restored: Path) -> None:
    """Restore a picture and print seconds, peak memory and the load of the machine."""
    from compress.restore.open import Settings, open_restorer

    image = read_rgb(picture)
    restorer = open_restorer(str(entry), Settings())
    seconds, cpu = [], []
    for _ in range(RUNS + 1):
        began = time.perf_counter(), time.process_time()
        made = restorer.restore(image, lambda: None)
        seconds.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    Image.fromarray(made).save(restored)
    # Not getrusage: a process begins with the peak of the one that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    median = statistics.median
    print(json.dumps({"s": median(seconds[1:]), "cpu": median(cpu[1:]), "peak_mb": peak, "load": os.getloadavg()[0]}))


def in_one_piece(picture: "np.ndarray") -> "np.ndarray":
    """By the checkpoint, without tiles."""
    from compress.elir.checkpoint import load_checkpoint
    from compress.elir.restore import TorchNetworks, restore_staged
    from compress.elir.tiles import Tiling
    from compress.recipe.library import find

    networks = TorchNetworks(load_checkpoint(find("weights", "elir_sr_x4"), None, None))
    return restore_staged(picture, networks, Tiling(4, (0, 0)))


def measure(out: Path, formats: "Sequence[Format]", given: Path | None) -> None:
    """Print a Markdown table."""
    from compress.artifacts.artifact import Artifact
    from compress.measure.quality import psnr_db

    picture = small_picture(given)
    Image.fromarray(picture).save(out / "picture.png")
    wanted = in_one_piece(picture)
    height, width = wanted.shape[:2]
    print(f"{width} x {height} px restored\n")
    print("| runtime, precision | form | difference, 1/255 | PSNR dB | CPU s | s | peak MB | MB on disk | load |")
    print("|---|---|---|---|---|---|---|---|---|")
    for format, precision, form in ((f, p, form) for f in formats for p in PRECISIONS for form in FORMS):
        layout: Any = FORMS[form].get("layout", "single")
        artifact = Artifact(format, precision, layout=layout)
        entry, restored = out / form / artifact.entry, out / f"{artifact.id}-{form}.png"
        command = [sys.executable, __file__, str(out), "--entry", str(entry), "--restored", str(restored)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        found, made = json.loads(printed), read_rgb(restored)
        apart = np.abs(made - wanted.astype(float)).mean()
        size = sum((out / form / file).stat().st_size for file in artifact.files) / 1e6
        cells = [f"{apart:.2f}", *(f"{n:.1f}" for n in (psnr_db(made, wanted), found["cpu"], found["s"]))]
        cells.append(f"{found['peak_mb']:.0f}")
        print(
            f"| {format}, {precision} | {form} | {' | '.join(cells)} | {size:.1f} | {found['load']:.1f} |", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--set", dest="settings", action="append", default=[], help="of the recipe, as for `apply`")
    parser.add_argument("--entry", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--restored", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.entry:
        restore(given.entry, given.out / "picture.png", given.restored)
        return
    write(given.out, given.formats, given.settings)
    measure(given.out, given.formats, given.picture)


if __name__ == "__main__":
    main()
