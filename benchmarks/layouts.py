"""Whole pictures by every form of an artifact: ``python benchmarks/layouts.py OUT [PICTURE...]``.

Forms: one graph of floats, one of pictures of 8 bits (``io: uint8``), three graphs (``layout: staged``); fp32 and int8,
by each runtime. OUT keeps the artifacts of the recipe int8_sr, quantized once with its own calibration set, its weights
rounded to nearest, and a row of figures of each; what is there is not made again. Delete OUT/rows.json to measure anew.

Each artifact restores every PICTURE, clean ones (by default scikit-image's astronaut) that are reduced four times
first, in a process of its own, ``--rounds`` times after a first time:

- PSNR and LPIPS against the clean picture;
- difference: the mean absolute one from the checkpoint's picture in one piece, and at seams: where tiles overlap; of
  int8 it holds what quantization changes, too;
- ms of one tile by the graph, or by all three;
- seconds and CPU seconds of all threads, which other work hardly changes, and megapixels of the restored per second;
- peak memory of the process, and MB on disk.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from compress.artifacts.runtime.base import dtype_of
from compress.data.pictures import read_rgb

if TYPE_CHECKING:
    from compress.recipe.schema import Format, Precision

SCALE, TILE, TILE_RUNS = 4, 256, 10
FORMS: dict[str, dict[str, str]] = {"one graph": {}, "uint8": {"io": "uint8"}, "staged": {"layout": "staged"}}
PRECISIONS: "tuple[Precision, ...]" = ("fp32", "int8")
FORMATS: "tuple[Format, ...]" = ("openvino", "onnx", "executorch")
HEADINGS = (
    *("runtime, precision", "form", "PSNR dB", "LPIPS", "difference, 1/255", "at seams", "its PSNR dB"),
    *("ms a tile", "s", "CPU s", "MP/s", "peak MB", "MB on disk", "load"),
)
COLUMNS = {
    **{"psnr_db": 2, "lpips": 4, "apart": 2, "seams": 2, "apart_db": 1, "tile_ms": 1, "s": 1, "cpu": 1},
    **{"mp_s": 3, "peak_mb": 0, "mb": 1, "load": 1},
}
"""What a row holds, and its digits."""
Row = dict[str, float]


def write(
    out: Path,
    kinds: "Sequence[tuple[Format, Precision]]",
    given: list[str],
    forms: Mapping[str, dict[str, str]],
) -> None:
    """Write what OUT does not hold yet of ``kinds`` in each of ``forms``, by the recipe with the settings ``given``."""
    from compress.artifacts.artifact import plan_artifacts
    from compress.pipeline.context import RunContext
    from compress.pipeline.models import Models
    from compress.progress import Progress
    from compress.recipe.load import load_recipe

    chosen = ["passes.3.ptq.rounding=nearest", *(f"export.{f}.precisions=[fp32,int8]" for f in FORMATS)]
    models: Models | None = None
    for form, settings in forms.items():
        own = [f"export.{key}={value}" for key, value in settings.items()]
        recipe = load_recipe("int8_sr", [*chosen, "export.onnx.tensorrt=false", *own, *given])
        context = RunContext(recipe, out / form, Progress("lines"))
        todo = [a for a in plan_artifacts(recipe) if not all((out / form / file).exists() for file in a.files)]
        todo = [a for a in todo if (a.format, a.precision) in kinds]
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


def pictures(out: Path, given: Sequence[Path]) -> list[str]:
    """Clean pictures and what becomes of them when they are reduced, as files in OUT; their names."""
    from skimage import data

    whole = {path.stem: read_rgb(path) for path in given} or {"astronaut": data.astronaut()}
    for name, picture in whole.items():
        height, width = (side // SCALE * SCALE for side in picture.shape[:2])
        clean = Image.fromarray(picture[:height, :width])
        clean.save(out / f"{name}-clean.png")
        clean.resize((width // SCALE, height // SCALE), Image.Resampling.BICUBIC).save(out / f"{name}-small.png")
    return list(whole)


def restore(entry: Path, out: Path, names: Sequence[str], rounds: int) -> None:
    """Restore the pictures, and print what it takes; the restored ones lie beside ``entry``."""
    from compress.artifacts.runtime.base import format_of
    from compress.artifacts.runtime.open import open_runner
    from compress.measure.machine import physical_cores
    from compress.restore.open import Settings, open_restorer

    images = [read_rgb(out / f"{name}-small.png") for name in names]
    restorer = open_restorer(str(entry), Settings())
    seconds, cpu = [], []
    for _ in range(rounds + 1):
        began = time.perf_counter(), time.process_time()
        made = [restorer.restore(image, lambda: None) for image in images]
        seconds.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    for name, picture in zip(names, made, strict=True):
        Image.fromarray(picture).save(entry.parent / f"{name}-restored.png")
    # Not getrusage: a process begins with the peak of the one that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    del restorer
    runner = open_runner(entry, format_of(entry), physical_cores())
    inputs = [np.zeros(shape, dtype_of(name)) for name, shape in runner.shapes.items()]
    run, times = runner.restore if runner.takes_pictures else runner.run, []
    for _ in range(TILE_RUNS + 2):
        began_s = time.perf_counter()
        run(*inputs)
        times.append(1000 * (time.perf_counter() - began_s))
    median, megapixels = statistics.median, sum(picture.shape[0] * picture.shape[1] for picture in made) / 1e6
    figures = {"tile_ms": median(times[2:]), "s": median(seconds[1:]), "cpu": median(cpu[1:]), "peak_mb": peak}
    figures |= {"mp_s": megapixels / figures["s"], "load": os.getloadavg()[0]}
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def in_one_piece(out: Path, names: Sequence[str]) -> dict[str, "np.ndarray"]:
    """The pictures by the checkpoint, without tiles."""
    from compress.elir.checkpoint import load_checkpoint
    from compress.elir.restore import TorchNetworks, restore_staged
    from compress.elir.tiles import Tiling
    from compress.recipe.library import find

    networks = TorchNetworks(load_checkpoint(find("weights", "elir_sr_x4"), None, None))
    small = {name: read_rgb(out / f"{name}-small.png") for name in names}
    return {name: restore_staged(picture, networks, Tiling(SCALE, (0, 0))) for name, picture in small.items()}


def overlaps(shape: Sequence[int], tile: "tuple[int, int]") -> "np.ndarray":
    """(H, W) bool: where tiles of a restored picture share pixels."""
    from compress.elir.tiles import DEFAULT_OVERLAP, plan

    tiles, shared = plan(shape[0], shape[1], tile, DEFAULT_OVERLAP, fixed=True), np.zeros(shape[:2], int)
    for rows, columns in tiles.windows:
        shared[rows, columns] += 1
    return shared > 1


def row_of(out: Path, entry: Path, names: Sequence[str], wanted: Mapping[str, "np.ndarray"], rounds: int) -> Row:
    """All figures of one artifact but its size."""
    from compress.measure.quality import psnr_db, score

    command = [sys.executable, __file__, str(out), *names, "--rounds", str(rounds), "--entry", str(entry)]
    row: Row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    made = {name: read_rgb(entry.parent / f"{name}-restored.png") for name in names}
    apart = [np.abs(made[name] - wanted[name].astype(float)) for name in names]
    shared = [each[overlaps(each.shape, (TILE, TILE))] for each in apart]
    means = score(list(made.values()), [read_rgb(out / f"{name}-clean.png") for name in names])
    return row | {
        "psnr_db": means.psnr_db,
        "lpips": means.lpips,
        "apart": float(np.mean([each.mean() for each in apart])),
        "seams": float(np.mean([each.mean() for each in shared if each.size] or [0])),
        "apart_db": statistics.fmean(psnr_db(made[name], wanted[name]) for name in names),
    }


def measure(given: argparse.Namespace) -> None:
    """Print a Markdown table, and keep each row as it is measured."""
    from compress.artifacts.artifact import Artifact
    from compress.files import write_text

    out, names = given.out, pictures(given.out, given.pictures)
    kept = out / "rows.json"
    rows: dict[str, Row] = json.loads(kept.read_text()) if kept.exists() else {}
    wanted: dict[str, np.ndarray] = {}
    print(f"Pictures: {', '.join(names)}\n")
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    for format, precision, form in (
        (f, p, form) for f in given.formats for p in given.precisions for form in given.forms
    ):
        layout: Any = FORMS[form].get("layout", "single")
        artifact = Artifact(format, precision, layout=layout)
        key = " ".join([artifact.id, form, str(given.rounds), *names])
        if key not in rows:
            wanted = wanted or in_one_piece(out, names)
            rows[key] = row_of(out, out / form / artifact.entry, names, wanted, given.rounds)
            rows[key]["mb"] = sum((out / form / file).stat().st_size for file in artifact.files) / 1e6
            write_text(kept, json.dumps(rows, indent=1))
        cells = [f"{rows[key][name]:.{digits}f}" for name, digits in COLUMNS.items()]
        print(f"| {format}, {precision} | {form} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", type=Path, nargs="*")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", dest="settings", action="append", default=[], help="of the recipe, as for `apply`")
    parser.add_argument("--entry", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.entry:
        restore(given.entry, given.out, [str(name) for name in given.pictures], given.rounds)
        return
    forms = {form: FORMS[form] for form in given.forms}
    write(given.out, [(f, p) for f in given.formats for p in given.precisions], given.settings, forms)
    measure(given)


if __name__ == "__main__":
    main()
