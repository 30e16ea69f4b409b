"""Other x4 upscalers, for ``benchmarks/throughput.py``: ``python upscaler_peer.py MODEL THREADS FOLDER [OUT]``.

Runs in an environment of its own (ncnn, onnx, onnxruntime, numpy, pillow). MODEL is ncnn's ``.param`` beside its
``.bin`` (Real-ESRGAN), or the ``model.json`` of an UpscalerJS model, which becomes an ONNX model for ONNX Runtime. For
each line on stdin, all pictures of FOLDER are enlarged, in tiles of 200 px and 10 px around them as
realesrgan-ncnn-vulkan cuts them, and the answer is a line of JSON: ``seconds``, ``sha256``, ``peak_rss_mb``. An empty
answer says that it is ready. The pictures are written to OUT, where it is given.
"""

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TILE, AROUND, SCALE = 200, 10, 4
Run = Callable[[np.ndarray], np.ndarray]
"""(h, w, 3) uint8 -> (4 h, 4 w, 3) float32, of 0 to 255."""


def ncnn_model(param: Path, threads: int) -> Run:
    """Real-ESRGAN takes and gives values of 0 to 1."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.load_param(str(param))
    net.load_model(str(param.with_suffix(".bin")))

    def run(picture: np.ndarray) -> np.ndarray:
        values = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / 255
        with net.create_extractor() as extractor:
            extractor.input("data", ncnn.Mat(values))
            _, made = extractor.extract("output")
            return np.array(made).transpose(1, 2, 0) * 255

    return run


def upscalerjs_model(model: Path, threads: int) -> Run:
    """Its residual dense networks take and give values of 0 to 255."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    session = ort.InferenceSession(to_onnx(model), settings, providers=["CPUExecutionProvider"])
    return lambda picture: session.run(None, {"LR": picture.transpose(2, 0, 1)[None].astype(np.float32)})[0][
        0
    ].transpose(1, 2, 0)


def to_onnx(model: Path) -> bytes:
    """The Keras layers that UpscalerJS's models have, NHWC, as an ONNX model, NCHW."""
    from onnx import TensorProto, helper, numpy_helper

    document = json.loads(model.read_text())
    weights = read_weights(model, document["weightsManifest"])
    config = document["modelTopology"]["model_config"]["config"]
    nodes, constants = [], []

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    for layer in config["layers"]:
        kind, name, given = layer["class_name"], layer["config"]["name"], layer["config"]
        inputs = [source[0] for node in layer["inbound_nodes"] for source in node]
        if kind == "Conv2D":
            kernel = constant(f"{name}.w", weights[f"{name}/kernel"].transpose(3, 2, 0, 1).copy())
            bias, pads = (
                constant(f"{name}.b", weights[f"{name}/bias"]),
                [side // 2 for side in given["kernel_size"]] * 2,
            )
            nodes.append(helper.make_node("Conv", [*inputs, kernel, bias], [name], pads=pads))
        elif kind == "Activation":
            nodes.append(helper.make_node("Relu", inputs, [name]))
        elif kind == "Concatenate":
            nodes.append(helper.make_node("Concat", inputs, [name], axis=1))
        elif kind == "Add":
            nodes.append(helper.make_node("Add", inputs, [name]))
        elif kind == "UpSampling2D":
            sides = constant(f"{name}.s", np.array([1, 1, *given["size"]], np.float32))
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            nodes.append(helper.make_node("Resize", [*inputs, "", sides], [name], **how))
        elif kind != "InputLayer":
            raise SystemExit(f"{model}: layer {kind} is not known here")
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, None, None])
        for name in ("LR", config["output_layers"][0][0])
    ]
    graph = helper.make_graph(nodes, "upscaler", ports[:1], ports[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


def read_weights(model: Path, manifest: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Every array by its name; all are float32."""
    arrays = {}
    for group in manifest:
        values = np.frombuffer(b"".join((model.parent / path).read_bytes() for path in group["paths"]), np.float32)
        for weight in group["weights"]:
            count = int(np.prod(weight["shape"]))
            arrays[weight["name"]], values = values[:count].reshape(weight["shape"]), values[count:]
    return arrays


def enlarge(picture: np.ndarray, run: Run) -> np.ndarray:
    """(H, W, 3) uint8 -> (4 H, 4 W, 3) uint8."""
    height, width = picture.shape[:2]
    made = np.empty((SCALE * height, SCALE * width, 3), np.uint8)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            y, x = max(0, top - AROUND), max(0, left - AROUND)
            bottom, right = min(height, top + TILE), min(width, left + TILE)
            part = run(picture[y : min(height, bottom + AROUND), x : min(width, right + AROUND)])
            rows, columns = ((SCALE * (a - b), SCALE * (c - b)) for a, b, c in ((top, y, bottom), (left, x, right)))
            inside = part[slice(*rows), slice(*columns)].clip(0, 255) + 0.5
            made[SCALE * top : SCALE * bottom, SCALE * left : SCALE * right] = inside.astype(np.uint8)
    return made


def main() -> None:
    model, threads, folder = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    run = (ncnn_model if model.suffix == ".param" else upscalerjs_model)(model, threads)
    pictures = {path.name: np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))}
    enlarge(next(iter(pictures.values()))[:TILE, :TILE], run)
    print("{}", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        made = {name: enlarge(picture, run) for name, picture in pictures.items()}
        seconds = time.perf_counter() - began
        for name, picture in made.items() if len(sys.argv) > 4 else ():
            Image.fromarray(picture).save(Path(sys.argv[4]) / name)
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        peak = round(int(found[1]) / 1024, 1) if found else None
        sha256 = hashlib.sha256(b"".join(picture.tobytes() for picture in made.values())).hexdigest()
        print(json.dumps({"seconds": seconds, "sha256": sha256, "peak_rss_mb": peak}), flush=True)


if __name__ == "__main__":
    main()
