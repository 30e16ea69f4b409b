"""Where quantizers stand for TensorRT, ours and ModelOpt's: ``python benchmarks/placement.py OUT BUNDLE``.

BUNDLE holds ``onnx-fp32`` and ``onnx-int8-tensorrt``, as the recipe int8_sr makes them. NVIDIA's ModelOpt quantizes
the fp32 file, by the interpreter that ``MODELOPT_PYTHON`` names, of an environment with nvidia-modelopt[onnx],
calibrated on the recipe's calibration pictures. OUT keeps its file.

- The table has each file's size, its convolutions that get both input and weights in int8, the layers that
  TensorRT-RTX's parser makes of it (``compress targets setup tensorrt-rtx``), and the fidelity: PSNR against the fp32
  file, both computed by ONNX Runtime as they are written.
- With TensorRT and an NVIDIA GPU, all three are built and run there: p50, speedup over fp32, and fidelity on the GPU.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from compress.bundle.open import open_bundle
from compress.data.pictures import to_uint8
from compress.data.sets import load_set
from compress.elir.noise import picture_inputs
from compress.errors import CompressError
from compress.files import temporary_folder
from compress.measure.latency import Latency, speedup
from compress.measure.quality import psnr_db
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.load import load_recipe
from compress.recipe.validation import load_model
from compress.targets.job import INPUTS, Job, JobArtifact
from compress.targets.runner.worker import Children
from compress.targets.tensorrt_parser.bench import parse
from compress.targets.tools.tensorrt_rtx import TensorrtRtx

MODELOPT = "MODELOPT_PYTHON"
PICTURES = 4
"""Validation pictures on which fidelity is measured."""
FLOAT, OURS, THEIRS = "fp32", "compress", "modelopt"
Feed = dict[str, np.ndarray]


def feeds(bundle: Path, set_name: str) -> Iterator[Feed]:
    """Each picture of a set, degraded, as an artifact's inputs."""
    model = load_recipe(str(bundle / "recipe.yaml")).model
    for i, item in enumerate(load_set(set_name, model.task, model.shape)):
        lq, noise = picture_inputs(item.degraded, model.seed, i)
        yield {"lq": lq, "noise": noise}


def files(out: Path, bundle: Path) -> dict[str, Path]:
    """The three files, ModelOpt's made unless it is there."""
    made = out / "modelopt.onnx"
    paths = {a.id: bundle / a.entry for a in open_bundle(bundle).manifest.artifacts}
    if not made.is_file():
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(paths["onnx-fp32"], out / "float.onnx")
        given = list(feeds(bundle, load_recipe(str(bundle / "recipe.yaml")).data.calibration))
        stacked = {name: np.concatenate([feed[name] for feed in given]) for name in given[0]}
        np.savez(out / "feeds.npz", **stacked)  # type: ignore[arg-type]
        # Its own packages only: this project's would come first by PYTHONPATH.
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        program = Path(__file__).with_name("modelopt_peer.py")
        subprocess.run([os.environ[MODELOPT], str(program), str(out)], check=True, env=own)
    return {FLOAT: paths["onnx-fp32"], OURS: paths["onnx-int8-tensorrt"], THEIRS: made}


def int8_convolutions(path: Path) -> str:
    """Convolutions that get both input and weights from a DequantizeLinear, of all."""
    import onnx

    graph = onnx.load(path).graph
    maker = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    whole = [n for n in convolutions if all(maker.get(name) == "DequantizeLinear" for name in n.input[:2])]
    return f"{len(whole)} of {len(convolutions)}"


def as_written(path: Path, given: list[Feed]) -> list[np.ndarray]:
    """A file's pictures, its quantizers around float kernels, which every CPU computes alike."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL, 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [to_uint8(session.run(None, feed)[0][0]) for feed in given]


def on_gpu(paths: dict[str, Path], given: list[Feed]) -> dict[str, str]:
    """p50, speedup over fp32 and fidelity of each file by TensorRT on this machine's GPU."""
    target = load_model(DeployTarget, find("targets", "x86-tensorrt"))
    artifacts = {
        name: JobArtifact(entry=str(path.absolute()), precision="fp32" if name == FLOAT else "int8")
        for name, path in paths.items()
    }
    job = Job(artifacts=artifacts, runtime=target.runtime, device=target.device, outputs=True)
    with temporary_folder() as folder:
        lq = np.stack([to_uint8(feed["lq"][0]) for feed in given])
        np.savez(Path(folder) / INPUTS, lq=lq, noise=np.concatenate([feed["noise"] for feed in given]))
        (Path(folder) / "job.json").write_text(job.model_dump_json())
        children = Children(folder, job.model_dump())
        cold = children.load_each(lambda text, done: None)
        times = {n: Latency(tuple(t["samples"]), t["warmup"]) for n, t in children.time_all(lambda *_: None).items()}
        pictures = {name: np.load(Path(folder) / f"output-{name}.npy") for name in paths}
    print(f"GPU: {cold[FLOAT]['facts']['gpu']}, TensorRT {cold[FLOAT]['facts']['tensorrt']}")
    ratios = {name: speedup(times[FLOAT], times[name]) for name in paths}
    return {
        name: f"{times[name].p50:.2f} ms, {ratio.value:.2f}x ({ratio.low}-{ratio.high}), "
        + fidelity(pictures[name], pictures[FLOAT])
        for name, ratio in ratios.items()
    }


def fidelity(pictures: Any, others: Any) -> str:
    """Mean PSNR; a dash where the two are the same."""
    return "-" if pictures is others else f"{statistics.mean(map(psnr_db, pictures, others)):.1f} dB"


def main() -> None:
    """Make, parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("bundle", type=Path)
    args = parser.parse_args()
    paths = files(args.out, args.bundle)
    validation = load_recipe(str(args.bundle / "recipe.yaml")).data.validation[0]
    given = [feed for feed, _ in zip(feeds(args.bundle, validation), range(PICTURES), strict=False)]
    pictures = {name: as_written(path, given) for name, path in paths.items()}
    tool = TensorrtRtx()
    tool.require()
    gpu = on_gpu(paths, given) if find_spec("tensorrt") else {}
    print("| file | MB | convolutions in int8 | CONVOLUTION | QUANTIZE | DEQUANTIZE | fidelity | on the GPU |")
    print("|---|---|---|---|---|---|---|---|")
    for name, path in paths.items():
        parsed = parse(path, tool.site)
        layers = [str(parsed.layers.get(kind, 0)) for kind in ("CONVOLUTION", "QUANTIZE", "DEQUANTIZE")]
        if not parsed.accepted:
            layers = [f"refused: {parsed.errors[0][:60]}", "-", "-"]
        close, size = fidelity(pictures[name], pictures[FLOAT]), f"{path.stat().st_size / 2**20:.2f}"
        print("|", " | ".join([name, size, int8_convolutions(path), *layers, close, gpu.get(name, "no GPU")]), "|")


if __name__ == "__main__":
    try:
        main()
    except CompressError as error:
        sys.exit(str(error))
