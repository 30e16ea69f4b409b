"""What the forms of noise cost: ``python benchmarks/noise.py OUT BUNDLE``, BUNDLE being the recipe int8_sr's.

Its int8 OpenVINO file restores three photographs of scikit-image, cut to multiples of 32 px and reduced four times, and
all three beside each other. Every tile gets what artifacts of each form have: its part of a noise drawn for the picture
(``input``), the same noise (``baked``), or its part of a torus, of the size that artifacts have (``seed``) and others.

- PSNR and LPIPS are against the clean picture.
- A texture is what a noise adds to the mean of three others; the table has its correlation with itself further on.

Then the files: bytes, and the ms of a tile by a seed and by baked noise against those by noise as an input. In every
round each form runs once, in another order; the table has the median of the rounds' ratios and its 95 % interval.
ExecuTorch's are of a program that only adds its noise, since a finished .pte takes no other nodes. OUT keeps what was
measured.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SCALE, STEP, ROUNDS, WARM = 4, 192, 40, 3
SIZES = ((63, 64), (127, 128), (255, 256))
FAR = (STEP, 8 * 64, 8 * 128)
"""Px to the right: one tile, and after how many the two smaller tori begin again."""


def photographs() -> dict[str, np.ndarray]:
    """Clean pictures (H, W, 3) uint8 by name."""
    from skimage import data

    whole = {"astronaut": data.astronaut(), "coffee": data.coffee(), "chelsea": data.chelsea()}
    cut = {name: p[: p.shape[0] // 32 * 32, : p.shape[1] // 32 * 32] for name, p in whole.items()}
    least = min(picture.shape[0] for picture in cut.values())
    return cut | {"all three": np.concatenate([picture[:least] for picture in cut.values()], axis=1)}


def torus_noise(rows: int, columns: int) -> Any:
    """As ``elir.restore.tile_seeds`` with the artifact's torus: windows of one of rows x columns samples."""
    torus = np.random.default_rng(0).standard_normal((1, 16, rows, columns), np.float32)

    def read(y: slice, x: slice) -> np.ndarray:
        down, across = (np.arange(side.start // 8, side.stop // 8) for side in (y, x))
        return np.ascontiguousarray(torus[:, :, down[:, None] % rows, across % columns])

    return lambda tiles: read


def forms(shape: tuple[int, ...]) -> dict[str, Any]:
    """The noises under a picture, ``shape`` being that of a tile's."""
    from compress.elir.noise_torus import COLUMNS, ROWS, noise_torus, noise_window, tile_seed
    from compress.elir.restore import drawn_noise

    fixed = np.random.default_rng(0).standard_normal(shape, np.float32)
    size = tuple(8 * side for side in shape[2:])

    def by_seed(y: slice, x: slice) -> np.ndarray:
        return noise_window(noise_torus(0), int(tile_seed(0, y.start, x.start)[0]), size)

    others = {f"torus {rows} x {columns}": torus_noise(rows, columns) for rows, columns in SIZES}
    others[f"torus {ROWS} x {COLUMNS}"] = lambda tiles: by_seed
    return {"input": drawn_noise(0), "baked": lambda tiles: lambda y, x: fixed, **others}


def correlation(texture: np.ndarray, px: int) -> float | None:
    """With itself ``px`` further to the right; None where the picture ends before."""
    if texture.shape[1] <= px + 32:
        return None
    return float(np.corrcoef(texture[:, px:].ravel(), texture[:, :-px].ravel())[0, 1])


def quality(entry: Path) -> Iterator[dict[str, Any]]:
    """A row a picture and form."""
    from compress.artifacts.runtime.open import open_runner
    from compress.elir.restore import drawn_noise, restore
    from compress.elir.tiles import DEFAULT_OVERLAP, Tiling
    from compress.measure.machine import physical_cores
    from compress.measure.quality import score

    runner = open_runner(entry, "openvino", physical_cores())
    tiling = Tiling(SCALE, runner.tile, DEFAULT_OVERLAP, fixed=True)
    for name, clean in photographs().items():
        image = Image.fromarray(clean)
        small = np.asarray(image.resize((image.width // SCALE, image.height // SCALE), Image.Resampling.BICUBIC))
        made = partial(restore, small, runner.run, tiling)
        mean = np.mean([made(noise=drawn_noise(seed)).astype(float) for seed in (1, 2, 3)], axis=0)
        for form, noise in forms(runner.shapes["noise"]).items():
            restored = made(noise=noise)
            means = score([restored], [clean])
            row: dict[str, Any] = {"picture": f"{name}, {image.width} x {image.height}", "form": form}
            row |= {"psnr_db": means.psnr_db, "lpips": means.lpips}
            row["correlations"] = [correlation(restored - mean, px) for px in FAR]
            yield row


def files(bundle: Path, out: Path) -> Iterator[dict[str, Any]]:
    """A row a runtime: bytes of the forms and their ms."""
    import onnx
    import openvino as ov

    from compress.artifacts.export.around import Around
    from compress.artifacts.export.to_onnx import save_onnx
    from compress.artifacts.export.to_openvino import save_openvino
    from compress.elir.noise_torus import noise_torus

    around, shape = Around(torus=noise_torus(0)), (256, 256)
    noise = np.random.default_rng(0).standard_normal((1, 16, 32, 32), np.float32)
    plain = bundle / "int8/openvino/model.xml"
    save_openvino(around.graph(ov.Core().read_model(plain), "openvino", shape), out / "seed.xml", compact=True)
    save_openvino(baked_openvino(ov.Core().read_model(plain), noise), out / "baked.xml", compact=True)
    yield timed("openvino, int8", plain, out)
    plain = bundle / "int8/onnx/model.onnx"
    save_onnx(around.graph(onnx.load(plain), "onnx", shape), out / "seed.onnx")
    save_onnx(baked_onnx(onnx.load(plain), noise), out / "baked.onnx")
    yield timed("onnx, int8", plain, out)
    lower(out / "input.pte")
    lower(out / "seed.pte", around=around)
    lower(out / "baked.pte", baked_seed=0)
    yield timed("executorch, noise alone", out / "input.pte", out)


def baked_openvino(model: Any, noise: np.ndarray) -> Any:
    from openvino import opset13 as ops

    (given,) = [port for port in model.get_parameters() if port.output(0).any_name == "noise"]
    given.output(0).replace(ops.constant(noise).output(0))
    model.remove_parameter(given)
    return model


def baked_onnx(model: Any, noise: np.ndarray) -> Any:
    from onnx import numpy_helper

    (given,) = [port for port in model.graph.input if port.name == "noise"]
    model.graph.input.remove(given)
    model.graph.initializer.append(numpy_helper.from_array(noise, "noise"))
    return model


def lower(path: Path, **form: Any) -> None:
    """A program that adds its noise, sample by sample, to the picture."""
    import torch
    from torch import nn

    from compress.artifacts.export.to_executorch import save_executorch, to_executorch

    class Add(nn.Module):
        def forward(self, lq: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
            return lq + nn.functional.pixel_shuffle(noise, 4).repeat(1, 3, 2, 2)

    save_executorch(to_executorch(Add(), (256, 256), **form), path)


def timed(runtime: str, plain: Path, out: Path) -> dict[str, Any]:
    """Bytes, median ms and ``share`` of each form: ``plain``, whose noise is an input, and those in ``out``."""
    from compress.artifacts.runtime.base import dtype_of, format_of
    from compress.artifacts.runtime.open import open_runner
    from compress.measure.machine import physical_cores

    paths = {"input": plain, **{form: (out / form).with_suffix(plain.suffix) for form in ("seed", "baked")}}
    calls: dict[str, Callable[[], Any]] = {}
    for form, path in paths.items():
        runner = open_runner(path, format_of(path), physical_cores())
        given = {name: np.zeros(shape, dtype_of(name)) for name, shape in runner.shapes.items()}
        calls[form] = partial(runner.run, given["lq"], given.get("noise", given.get("seed")))
    ms: dict[str, list[float]] = {form: [] for form in calls}
    order = np.random.default_rng(0)
    for _ in range(WARM + ROUNDS):
        for form in order.permutation(list(calls)):
            began = time.perf_counter()
            calls[form]()
            ms[form].append(1000 * (time.perf_counter() - began))
    row: dict[str, Any] = {"runtime": runtime}
    for form, path in paths.items():
        parts = (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)
        row[form] = {"bytes": sum(part.stat().st_size for part in parts), "ms": statistics.median(ms[form][WARM:])}
        row[form]["share"] = share(ms[form][WARM:], ms["input"][WARM:])
    return row


def share(ms: list[float], base: list[float]) -> list[float]:
    """Median of the rounds' ratios, and its 95 % interval."""
    from scipy.stats import bootstrap

    ratios = np.divide(ms, base)
    interval = bootstrap((ratios,), np.median, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return [float(value) for value in (np.median(ratios), *interval)]


def tables(out: Path) -> None:
    """Print what OUT holds as Markdown."""
    print("| picture | noise | PSNR dB | LPIPS | " + " | ".join(f"{px} px further" for px in FAR) + " |")
    print("|---|---|---|---|" + "---|" * len(FAR))
    for row in json.loads((out / "quality.json").read_text()):
        far = ["" if value is None else f"{value:.2f}" for value in row["correlations"]]
        scores = f"{row['psnr_db']:.2f} | {row['lpips']:.4f}"
        print(f"| {row['picture']} | {row['form']} | {scores} | {' | '.join(far)} |")
    print("\n| runtime | MB more, seed | ms, input | seed / input | baked / input |\n|---|---|---|---|---|")
    for row in json.loads((out / "files.json").read_text()):
        more = (row["seed"]["bytes"] - row["input"]["bytes"]) / 1e6
        shares = ["{:.3f} ({:.3f} to {:.3f})".format(*row[form]["share"]) for form in ("seed", "baked")]
        print(f"| {row['runtime']} | {more:.2f} | {row['input']['ms']:.2f} | {' | '.join(shares)} |")


def main() -> None:
    from compress.files import write_text

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("bundle", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    parts = {
        "quality": lambda: quality(given.bundle / "int8/openvino/model.xml"),
        "files": lambda: files(given.bundle, given.out),
    }
    for name, make in parts.items():
        if not (given.out / f"{name}.json").exists():
            write_text(given.out / f"{name}.json", json.dumps(list(make()), indent=1))
    tables(given.out)


if __name__ == "__main__":
    main()
