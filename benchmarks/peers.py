"""Other packages at their own defaults, on the same model, pictures and runtimes: ``python benchmarks/peers.py OUT``.

Every maker runs in a process of its own (its CPU time and peak memory are those of the whole: loading, compressing,
writing), from the weights and calibration pictures of a recipe, ``int8_sr`` unless --recipe says otherwise. What it
wrote is then judged beside the float model and our int8 of the same runtime: quality on the recipe's validation
pictures, speed interleaved. OUT keeps files and figures: what is there is not made again. ``--only NAME`` makes some.

Olive is tried where ``OLIVE_PYTHON`` names the interpreter of an environment with olive-ai, onnxruntime and torch.
Peers get the model after ``collapse`` and ``fold_time``, both exact; without them none can read it in full. A peer that
fails is told with its last line.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from compress.artifacts.runtime.open import open_runner
from compress.data.pictures import to_float, to_uint8
from compress.data.sets import PictureSet, load_set
from compress.elir.noise import picture_inputs
from compress.errors import CompressError
from compress.files import write_text
from compress.measure.latency import PROTOCOLS, Latency, speedup
from compress.measure.machine import machine_facts, physical_cores
from compress.measure.quality import QualityScore, psnr_db, score
from compress.recipe.image_size import Shape
from compress.recipe.library import find
from compress.recipe.load import load_recipe
from compress.recipe.pass_item import PassItem
from compress.recipe.schema import Recipe
from compress.targets.runner.timer import interleaved

FILES = {"openvino": "model.xml", "onnx": "model.onnx", "executorch": "model.pte"}
OLIVE = "OLIVE_PYTHON"  # Olive does not install beside this package's versions
MAX_DROP_DB = 0.05  # what accuracy control is asked to keep


def pictures(recipe: Recipe, name: str) -> PictureSet:
    """A set, degraded for the recipe's task."""
    return load_set(name, recipe.model.task, recipe.model.shape)


def inputs(recipe: Recipe, name: str) -> Iterator[dict[str, Any]]:
    """Each picture of a set as a runtime's inputs."""
    for i, item in enumerate(pictures(recipe, name)):
        lq, noise = picture_inputs(item.degraded, recipe.model.seed, i)
        yield {"lq": lq, "noise": noise}


def subject(recipe: Recipe, formats: tuple[str, ...], passes: tuple[str, ...] = ("collapse", "fold_time")) -> Any:
    """The recipe's model after ``passes``."""
    import torch

    from compress.elir.checkpoint import load_checkpoint
    from compress.passes import load_pass
    from compress.passes.base import Subject

    model = load_checkpoint(find("weights", recipe.model.weights), recipe.model.k_steps, recipe.model.sigma_s)

    def pairs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for feed in inputs(recipe, recipe.data.calibration):
            yield torch.from_numpy(feed["lq"]), torch.from_numpy(feed["noise"])

    count = len(pictures(recipe, recipe.data.calibration))
    made = Subject(model, pairs, count, recipe.model.shape, formats)
    for item in recipe.passes:
        if item.name in passes:
            load_pass(item).run(made)
    return made


def float_onnx(recipe: Recipe) -> Any:
    """The float model's ONNX graph."""
    from compress.artifacts.export.to_onnx import to_onnx

    return to_onnx(subject(recipe, ()).model, recipe.model.shape)


def write(format_: str, folder: Path, made: Any, size: Shape) -> None:
    """An ONNX graph or a torch module, in ``format_``."""
    from compress.artifacts.export.to_executorch import save_executorch, to_executorch
    from compress.artifacts.export.to_onnx import save_onnx, to_onnx
    from compress.artifacts.export.to_openvino import save_openvino, to_openvino

    path = folder / FILES[format_]
    if format_ == "executorch":
        save_executorch(to_executorch(made, size), path)
        return
    proto = made if hasattr(made, "graph") and hasattr(made, "ir_version") else to_onnx(made, size)
    if format_ == "onnx":
        save_onnx(proto, path)
    else:
        save_openvino(to_openvino(proto), path, compact=True)


def ours(format_: str) -> Callable[[Recipe, Path], None]:
    """Our ``ptq`` and the exact passes before it, as ``compress apply`` runs them."""
    schemes = {"openvino": "openvino", "onnx": "onnxruntime", "executorch": "xnnpack"}

    def make(recipe: Recipe, folder: Path) -> None:
        names = tuple(item.name for item in recipe.passes)
        made = subject(recipe, (format_,), names).quantized.modules[schemes[format_]]
        write(format_, folder, made, recipe.model.shape)

    return make


def nncf_through_us(recipe: Recipe, folder: Path) -> None:
    """Our ``ptq`` with engine nncf: what the pass, its checks and our export cost beside nncf by hand."""
    from compress.artifacts.export.to_onnx import to_onnx
    from compress.artifacts.export.to_openvino import save_openvino, to_openvino
    from compress.passes import load_pass

    made = subject(recipe, ("openvino",))
    made.float_graph = lambda format_: to_openvino(to_onnx(made.model, recipe.model.shape))
    settings = {
        "engine": "nncf",
        "weight_bits": 8,
        "pair_limit": False,
        "range": "min_max",
        "bias_correction": True,
    }  # as nncf's defaults
    load_pass(PassItem.model_validate({"ptq": settings})).run(made)
    save_openvino(made.quantized.graphs["openvino"], folder / FILES["openvino"], compact=True)


def floats(format_: str) -> Callable[[Recipe, Path], None]:
    """The float model."""

    def make(recipe: Recipe, folder: Path) -> None:
        made = subject(recipe, ()).model if format_ == "executorch" else float_onnx(recipe)
        write(format_, folder, made, recipe.model.shape)

    return make


def nncf_openvino(recipe: Recipe, folder: Path) -> None:
    """``nncf.quantize`` of the OpenVINO model, nothing set but the number of pictures."""
    import nncf
    import openvino

    from compress.artifacts.export.to_openvino import to_openvino

    feeds = list(inputs(recipe, recipe.data.calibration))
    model = nncf.quantize(to_openvino(float_onnx(recipe)), nncf.Dataset(feeds), subset_size=len(feeds))
    openvino.save_model(model, folder / FILES["openvino"], compress_to_fp16=False)


def nncf_accuracy_control(recipe: Recipe, folder: Path) -> None:
    """``nncf.quantize_with_accuracy_control``: PSNR against the clean pictures of the calibration set."""
    import nncf
    import numpy as np
    import openvino

    from compress.artifacts.export.to_openvino import to_openvino

    feeds = list(inputs(recipe, recipe.data.calibration))
    clean = [to_float([item.clean]) for item in pictures(recipe, recipe.data.calibration) if item.clean is not None]

    def psnr(model: Any, given: Any) -> tuple[float, list[float]]:
        values = [
            float(-10 * np.log10(np.square(next(iter(model(feed).values())) - wanted).mean())) for feed, wanted in given
        ]
        return float(np.mean(values)), values

    pairs = list(zip(feeds, clean, strict=True))
    model = nncf.quantize_with_accuracy_control(
        to_openvino(float_onnx(recipe)),
        nncf.Dataset(feeds),
        nncf.Dataset(pairs),
        validation_fn=psnr,
        max_drop=MAX_DROP_DB,
        drop_type=nncf.DropType.ABSOLUTE,
        subset_size=len(feeds),
    )
    openvino.save_model(model, folder / FILES["openvino"], compress_to_fp16=False)


def nncf_onnx(recipe: Recipe, folder: Path) -> None:
    """``nncf.quantize`` of the ONNX model."""
    import nncf
    import onnx

    feeds = list(inputs(recipe, recipe.data.calibration))
    onnx.save(nncf.quantize(float_onnx(recipe), nncf.Dataset(feeds), subset_size=len(feeds)), folder / FILES["onnx"])


def ort_static(recipe: Recipe, folder: Path) -> None:
    """``quant_pre_process`` and ``quantize_static`` as ONNX Runtime's documentation calls them."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = inputs(recipe, recipe.data.calibration)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.feeds, None)

    plain, ready = folder / "float.onnx", folder / "ready.onnx"
    onnx.save(float_onnx(recipe), plain)
    quant_pre_process(str(plain), str(ready))
    quantize_static(str(ready), str(folder / FILES["onnx"]), Reader())
    plain.unlink()
    ready.unlink()


def neural_compressor(recipe: Recipe, folder: Path) -> None:
    """Its static PT2E quantization, default configuration; float weights folded to int8, which favours it."""
    import torch
    from neural_compressor.torch import quantization
    from neural_compressor.torch.export import export

    from compress.passes.quantize.engines.common import example
    from compress.passes.quantize.engines.pt2e import ConvertedGraph, fold_weights

    made = subject(recipe, ("onnx",))
    with torch.no_grad():
        prepared = quantization.prepare(export(made.model, example(made)), quantization.INT8StaticQuantConfig())
        for lq, noise in made.calibration():
            prepared(lq, noise)
        converted = quantization.convert(prepared)
        fold_weights(converted)
    write("onnx", folder, ConvertedGraph(converted), recipe.model.shape)


def torchao(recipe: Recipe, folder: Path) -> None:
    """PT2E with XNNPACK's quantizer, global symmetric configuration a channel, as ExecuTorch's tutorial has it."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from executorch.exir import to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    from compress.artifacts.export.deployed import deployed

    made = subject(recipe, ("executorch",))
    module, example = deployed(made.model, recipe.model.shape, None)
    with torch.no_grad():
        exported = torch.export.export(module, example).module()
        quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
        prepared = prepare_pt2e(exported, quantizer)
        for lq, noise in made.calibration():
            prepared(lq, noise)
        converted = convert_pt2e(prepared)
        lowered = to_edge_transform_and_lower(
            torch.export.export(converted, example), partitioner=[XnnpackPartitioner()]
        )
    (folder / FILES["executorch"]).write_bytes(lowered.to_executorch().buffer)


def olive(recipe: Recipe, folder: Path) -> None:
    """Olive's ``OnnxStaticQuantization``, nothing set, by the interpreter that ``OLIVE_PYTHON`` names."""
    import numpy as np
    import onnx

    feeds = list(inputs(recipe, recipe.data.calibration))
    np.savez(folder / "feeds.npz", **{name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]})  # type: ignore[arg-type]
    onnx.save(float_onnx(recipe), folder / "float.onnx")
    program = Path(__file__).with_name("olive_peer.py")
    # Its own packages only: this project's would come first by PYTHONPATH.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([os.environ[OLIVE], str(program), str(folder)], check=True, env=own)


MAKERS: dict[str, dict[str, Callable[[Recipe, Path], None]]] = {
    "openvino": {
        "fp32": floats("openvino"),
        "compress": ours("openvino"),
        "nncf": nncf_openvino,
        "nncf, by our ptq": nncf_through_us,
        "nncf accuracy control": nncf_accuracy_control,
    },
    "onnx": {
        "fp32": floats("onnx"),
        "compress": ours("onnx"),
        "onnxruntime": ort_static,
        "nncf": nncf_onnx,
        "neural-compressor": neural_compressor,
        **({"olive": olive} if OLIVE in os.environ else {}),
    },
    "executorch": {"fp32": floats("executorch"), "compress": ours("executorch"), "torchao": torchao},
}


def folder_of(out: Path, format_: str, name: str) -> Path:
    """Where a maker's files lie."""
    return out / format_ / name.replace(" ", "_")


def make(out: Path, format_: str, name: str, recipe: str, limit_s: float) -> dict[str, Any]:
    """Run a maker in a process of its own; its CPU time, peak memory and, where it failed, its last line."""
    folder = folder_of(out, format_, name)
    record = folder / "made.json"
    if record.is_file():
        return json.loads(record.read_text())  # type: ignore[no-any-return]
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(out), "--recipe", recipe, "--make", format_, name]
    start = time.monotonic()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() - start > limit_s:
                process.kill()
            time.sleep(0.2)
    _, status, usage = ended
    lines = [line for line in (folder / "log.txt").read_text(errors="replace").splitlines() if line.strip()]
    failed = None
    if status:
        killed = os.WIFSIGNALED(status) and time.monotonic() - start > limit_s
        failed = f"not done in {limit_s:.0f} s" if killed else (lines or ["ended without a word"])[-1]
    made = {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024, "failed": failed}
    write_text(record, json.dumps(made))
    return made


def judge(out: Path, format_: str, names: list[str], recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Size, quality and speed of what makers wrote for one runtime, ``fp32`` first."""
    runners = {n: open_runner(folder_of(out, format_, n) / FILES[format_], format_, physical_cores()) for n in names}  # type: ignore[arg-type]
    items = [item for name in recipe.data.validation for item in pictures(recipe, name)]
    seed = recipe.model.seed
    restored = {
        n: [to_uint8(r.run(*picture_inputs(item.degraded, seed, i))[0]) for i, item in enumerate(items)]
        for n, r in runners.items()
    }
    scores: dict[str, QualityScore] = {
        n: score(result, [item.clean for item in items if item.clean is not None]) for n, result in restored.items()
    }
    feed = next(inputs(recipe, recipe.data.validation[0]))
    calls: dict[str, Callable[[], object]] = {n: partial(r.run, feed["lq"], feed["noise"]) for n, r in runners.items()}
    timed = interleaved(calls, asdict(PROTOCOLS["quick"]), seed)
    times = {n: Latency(tuple(item["samples"]), item["warmup"]) for n, item in timed.items()}
    base = scores["fp32"]
    figures = {}
    for n in names:
        ratio = speedup(times["fp32"], times[n])
        pairs = zip(restored[n], restored["fp32"], strict=True)
        files = [p for p in folder_of(out, format_, n).iterdir() if p.name.startswith("model.")]
        figures[n] = {
            "bytes": sum(p.stat().st_size for p in files),
            "psnr_drop_db": base.psnr_db - scores[n].psnr_db,
            "ssim_drop": base.ssim - scores[n].ssim,
            "lpips_rise": scores[n].lpips - base.lpips,
            "color_shift": scores[n].color_shift,
            "fidelity_db": sum(psnr_db(a, b) for a, b in pairs) / len(items),
            "p50_ms": times[n].p50,
            "speedup": [ratio.value, ratio.low, ratio.high],
        }
    return figures


def table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Markdown."""
    lines = [
        "| runtime | made by | MB | PSNR drop dB | SSIM drop | LPIPS rise | fidelity dB | speedup | CPU s | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for format_, result in results.items():
        for name, f in result.items():
            made = f"{f['cpu_seconds']:.0f} | {f['peak_mb']:.0f} |"
            if f.get("failed"):
                lines.append(f"| {format_} | {name} | {f['failed'][:80]} | - | - | - | - | - | {made}")
                continue
            fidelity = "-" if name == "fp32" else f"{f['fidelity_db']:.1f}"
            quality = f"{f['psnr_drop_db']:+.3f} | {f['ssim_drop']:+.4f} | {f['lpips_rise']:+.4f} | {fidelity}"
            mb, speed = f"{f['bytes'] / 2**20:.2f}", "{:.2f} ({:.2f}-{:.2f})".format(*f["speedup"])
            lines.append(f"| {format_} | {name} | {mb} | {quality} | {speed} | {made}")
    return "\n".join(lines)


def main() -> None:
    """Make, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="int8_sr")
    parser.add_argument("--only", action="append", default=[], help="a maker's name, repeatable")
    parser.add_argument("--limit", type=float, default=3600, help="seconds a maker may take")
    parser.add_argument("--make", nargs=2, metavar=("FORMAT", "NAME"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    recipe = load_recipe(given.recipe)
    if given.make:
        format_, name = given.make
        MAKERS[format_][name](recipe, folder_of(given.out, format_, name))
        return
    made: dict[str, dict[str, dict[str, Any]]] = {}
    # All before the first is judged: a process's peak memory is never less than this one's was when it was started.
    for format_, makers in MAKERS.items():
        if given.only and not makers.keys() & set(given.only):
            continue
        made[format_] = {}
        for name in (n for n in makers if not given.only or n in (*given.only, "fp32", "compress")):
            print(f"{format_}: {name} ...", file=sys.stderr, flush=True)
            made[format_][name] = make(given.out, format_, name, given.recipe, given.limit)
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for format_, chosen in made.items():
        figures = judge(given.out, format_, [name for name in chosen if not chosen[name]["failed"]], recipe)
        results[format_] = {name: chosen[name] | figures.get(name, {}) for name in chosen}
        document = {"machine": machine_facts().to_json(), "recipe": recipe.name, "results": results}
        write_text(given.out / "peers.json", json.dumps(document, indent=1))
    print(table(results))


if __name__ == "__main__":
    try:
        main()
    except CompressError as error:
        sys.exit(str(error))
