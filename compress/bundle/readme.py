"""README.md of a bundle: what lies in it, and a few lines of Python for each runtime that run as they stand."""

from collections.abc import Mapping, Sequence
from typing import Any

README = "README.md"

_HEAD = """\
# {name}

Files that restore pictures (`{task}`), made by elir-compress. `report.html` shows how good and how fast they are,
`results.json` holds the figures, `recipe.yaml` made them, and `compress verify` with this folder checks that no file
has changed.

| artifact | file |
|---|---|
{rows}

{takes} `compress restore` with this folder restores pictures of any size, tile by tile. The lines below restore a
`photo.png` of {small} px (another size would be squeezed to it) that lies beside this folder; run them in this
folder, and add nothing to it, or `compress verify` would refuse it.
"""
_FLOATS = """\
Each takes one picture of {width} x {height} px, {enlarged}RGB in [0, 1], float32,
with the channels first{noise}, and gives the restored picture in the
same form."""
_BYTES = """\
Each takes one picture of {small} px, RGB, 8 bits, as it is{noise},
and gives the restored picture of {width} x {height} px in the same form: enlarging, scaling and rounding are
inside the graph."""
_SHAPES = " Files with a shape in their name, height x width, take and give pictures of that."
_NOISE = ", and standard normal noise (the same noise gives the same picture)"
_BEFORE = """\
import numpy as np
from PIL import Image
{imports}
picture = Image.open("../photo.png").convert("RGB").resize(({width}, {height}), Image.Resampling.BICUBIC)
"""
_TAKE_FLOATS = 'inputs = {"lq": np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255}\n'
_TAKE_BYTES = 'inputs = {"image": np.array(picture)[None]}\n'
_DRAW = 'inputs["noise"] = np.random.default_rng(0).standard_normal({shape}, np.float32)\n'
_AFTER_FLOATS = """\
Image.fromarray((output[0].transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)).save("../restored_by_{format}.png")
"""
_AFTER_BYTES = 'Image.fromarray(output[0]).save("../restored_by_{format}.png")\n'
# format -> title, imports, lines that make the output of inputs
_RUNTIMES = {
    "openvino": (
        "OpenVINO (`pip install openvino numpy pillow`)",
        "import openvino\n",
        'model = openvino.Core().compile_model("{entry}", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})\n'
        "output = model(inputs)[0]\n",
    ),
    "onnx": (
        "ONNX Runtime (`pip install onnxruntime numpy pillow`)",
        "import onnxruntime\n",
        'session = onnxruntime.InferenceSession("{entry}", providers=["CPUExecutionProvider"])\n'
        "output = session.run(None, inputs)[0]\n",
    ),
    "executorch": (
        "ExecuTorch (`pip install executorch numpy pillow`)",
        "import executorch.kernels.quantized  # quantize and dequantize outside of XNNPACK\n"
        "import torch\n"
        "from executorch.runtime import Runtime\n",
        'method = Runtime.get().load_program("{entry}").load_method("forward")\n'
        "output = method.execute([torch.from_numpy(value) for value in inputs.values()])[0].numpy()\n",
    ),
}


def readme(name: str, task: str, scale: int, artifacts: Sequence[Mapping[str, Any]]) -> str:
    """``artifacts``: entries of the manifest, floats first; each runtime's lines use its last one
    of the first shape, TensorRT's apart."""
    first = artifacts[0]
    same = [a for a in artifacts if a["inputs"][0]["shape"] == first["inputs"][0]["shape"]]
    chosen = {a["format"]: a for a in same if not a["id"].endswith("tensorrt")}
    floats = first["inputs"][0]["name"] == "lq"
    shape = first["inputs"][0]["shape"]
    height, width = shape[2:] if floats else (scale * side for side in shape[1:3])
    small = f"{width // scale} x {height // scale}"
    noise = next((entry["shape"] for entry in first["inputs"] if entry["name"] == "noise"), None)
    head = _HEAD.format(
        name=name,
        task=task,
        rows="\n".join(f"| {a['id']} | {a['entry']} |" for a in artifacts),
        takes=(_FLOATS if floats else _BYTES).format(
            width=width,
            height=height,
            small=small,
            enlarged=f"enlarged {scale} times by bicubic interpolation, " if scale > 1 else "",
            noise=_NOISE if noise else "",
        )
        + (_SHAPES if len(same) < len(artifacts) else ""),
        small=small,
    )
    grid = 1 if floats else scale
    take, after = (_TAKE_FLOATS, _AFTER_FLOATS) if floats else (_TAKE_BYTES, _AFTER_BYTES)
    draw = _DRAW.format(shape=tuple(noise)) if noise else ""
    parts = []
    for format_, artifact in chosen.items():
        title, imports, run = _RUNTIMES[format_]
        before = _BEFORE.format(imports=imports, width=width // grid, height=height // grid)
        lines = [before, take, draw, run.format(entry=artifact["entry"]), after.format(format=format_)]
        parts.append(f"\n## {title}\n\n```python\n{''.join(lines)}```\n")
    return head + "".join(parts)
