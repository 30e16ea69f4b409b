"""README.md of a bundle: what lies in it, and a few lines of Python for each runtime that run as they stand."""

from collections.abc import Mapping, Sequence
from typing import Any

from compress.artifacts.artifact import by_own_rules, not_run

README = "README.md"

_HEAD = """\
# {name}

Files that restore pictures (`{task}`), made by elir-compress. `report.html` shows how good and how fast they are,
`results.json` holds the figures, and `recipe.yaml` is the recipe that made them. `compress verify` with this folder
checks that no file has changed.

| artifact | file |
|---|---|
{rows}

{takes} `compress restore` with this folder restores pictures of any size, tile by tile.

The lines below restore a `photo.png` of {small} px beside this folder; they resize a picture of another size to it.
Run them in this folder, and add no files to it, or `compress verify` refuses it.
"""
_FLOATS = """\
Each takes one picture of {width} x {height} px, {enlarged}RGB in [0, 1], float32,
with the channels first{noise}, and returns the restored picture in the
same form."""
_BYTES = """\
Each takes one 8-bit RGB picture of {small} px{noise},
and returns the restored picture of {width} x {height} px in the same form: the graph itself enlarges, scales and
rounds."""
_SHAPES = " Files with a height x width in their name take and return pictures of that size."
_STAGES = """\
Each is three graphs in one folder: `encode` and `decode` take tiles of {width} x {height} px, and `flow`, between them,
takes the latent of a whole picture and noise of the same size, with sides that are multiples of 4. So a picture of
any size is restored without seams: encode its tiles and blend them, run `flow` once, decode and blend again.
`compress restore` does so. The picture is {enlarged}RGB in [0, 1], float32, with the channels first; the restored
picture has the same form."""
_BESIDE = {
    "noise": ", and standard normal noise (the same noise gives the same picture)",
    "seed": ", and the seed of its noise, 0 to 16777215 (the same seed gives the same picture)",
}
_BEFORE = """\
import numpy as np
from PIL import Image, ImageOps
{imports}
picture = ImageOps.exif_transpose(Image.open("../photo.png")).convert("RGB")
picture = picture.resize(({width}, {height}), Image.Resampling.BICUBIC)
"""
_TAKE_FLOATS = 'inputs = {"lq": np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255}\n'
_TAKE_BYTES = 'inputs = {"image": np.array(picture)[None]}\n'
_DRAW = {
    "noise": 'inputs["noise"] = np.random.default_rng(0).standard_normal({shape}, np.float32)\n',
    "seed": 'inputs["seed"] = np.array([0], np.int64)\n',
}
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
# format -> the same lines for three graphs, each given what those before it made
_STAGED_RUNTIMES = {
    "openvino": (
        "for stage, made in STAGES.items():\n"
        '    model = openvino.Core().compile_model(f"{entry}", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})\n'
        "    inputs[made] = model({{port.any_name: inputs[port.any_name] for port in model.inputs}})[0]\n"
    ),
    "onnx": (
        "for stage, made in STAGES.items():\n"
        '    session = onnxruntime.InferenceSession(f"{entry}", providers=["CPUExecutionProvider"])\n'
        "    inputs[made] = session.run(None, {{port.name: inputs[port.name] for port in session.get_inputs()}})[0]\n"
    ),
    "executorch": (
        'given = {{"encode": ["lq"], "flow": ["latent", "noise"], "decode": ["restored_latent", "lq"]}}\n'
        "for stage, made in STAGES.items():\n"
        '    method = Runtime.get().load_program(f"{entry}").load_method("forward")\n'
        "    values = [torch.from_numpy(inputs[name]) for name in given[stage]][: method.metadata.num_inputs()]\n"
        "    inputs[made] = method.execute(values)[0].numpy()\n"
    ),
}
_STAGED_NAMES = 'STAGES = {"encode": "latent", "flow": "restored_latent", "decode": "hq"}  # what each makes\n'


def readme(name: str, task: str, scale: int, artifacts: Sequence[Mapping[str, Any]]) -> str:
    """``artifacts``: entries of the manifest, floats first; each runtime's lines use its last one
    of the first shape, those by one runtime's rules apart."""
    first = artifacts[0]
    same = [a for a in artifacts if a["inputs"][0]["shape"] == first["inputs"][0]["shape"]]
    absent = {a["id"]: why for a in artifacts if (why := not_run(a["id"]))}
    chosen = {a["format"]: a for a in same if not by_own_rules(a["id"]) and a["id"] not in absent}
    floats = first["inputs"][0]["name"] == "lq"
    shape = first["inputs"][0]["shape"]
    height, width = shape[2:] if floats else (scale * side for side in shape[1:3])
    small = f"{width // scale} x {height // scale}"
    beside = next((entry for entry in first["inputs"] if entry["name"] in _BESIDE), None)
    head = _HEAD.format(
        name=name,
        task=task,
        rows="\n".join(f"| {a['id']} | {', '.join(a.get('stages', {'': a['entry']}).values())} |" for a in artifacts),
        takes=(_STAGES if first.get("stages") else _FLOATS if floats else _BYTES).format(
            width=width,
            height=height,
            small=small,
            enlarged=f"enlarged {scale} times by bicubic interpolation, " if scale > 1 else "",
            noise=_BESIDE[beside["name"]] if beside else "",
        )
        + (_SHAPES if len(same) < len(artifacts) else ""),
        small=small,
    )
    grid = 1 if floats else scale
    take, after = (_TAKE_FLOATS, _AFTER_FLOATS) if floats else (_TAKE_BYTES, _AFTER_BYTES)
    draw = _DRAW[beside["name"]].format(shape=tuple(beside["shape"])) if beside else ""
    parts = []
    for format_, artifact in chosen.items():
        title, imports, run = _RUNTIMES[format_]
        if artifact.get("stages"):
            entry = artifact["entry"].replace("encode", "{stage}")
            run = _STAGED_NAMES + _STAGED_RUNTIMES[format_].format(entry=entry) + 'output = inputs["hq"]\n'
        else:
            run = run.format(entry=artifact["entry"])
        before = _BEFORE.format(imports=imports, width=width // grid, height=height // grid)
        lines = [before, take, draw, run, after.format(format=format_)]
        parts.append(f"\n## {title}\n\n```python\n{''.join(lines)}```\n")
    parts += [f"\n`{id_}`: {why}.\n" for id_, why in absent.items()]
    return head + "".join(parts)
