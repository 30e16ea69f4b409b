"""Outputs of artifacts against pictures and against each other."""

import math
import os
import statistics
from typing import Any, Dict, Tuple

from compress.targets.runner.state import Job


def picture(stored: Any, i: int) -> Dict[str, Any]:
    """Picture ``i`` (H, W, 3) uint8 and its noise -> lq (1, 3, H, W) in [0, 1], noise (1, 16, H/8, W/8), float32;
    where there is ``image``, which artifacts of pictures of 8 bits take: that, (1, h, w, 3) uint8, instead of lq; where
    there is ``seed``, (1,) int64: that, before the noise, which artifacts that take inputs by place then do not get."""
    import numpy as np

    if "image" in stored:
        inputs = {"image": np.ascontiguousarray(stored["image"][i : i + 1])}
    else:
        inputs = {"lq": np.ascontiguousarray(stored["lq"][i].transpose(2, 0, 1)[None].astype(np.float32) / 255)}
    if "seed" in stored:
        inputs["seed"] = stored["seed"][i]
    inputs["noise"] = np.ascontiguousarray(stored["noise"][i : i + 1], np.float32)
    return inputs


def output_form(inputs: Dict[str, Any], values: int) -> Tuple[Tuple[int, ...], str]:
    """Shape and type of what an artifact gives for the inputs that ``picture`` makes; ``values``: how many it gives,
    which tells how many times it enlarges an image."""
    if "image" not in inputs:
        return (1, *inputs["lq"].shape[1:]), "float32"
    height, width = inputs["image"].shape[1:3]
    scale = math.isqrt(values // (3 * height * width))
    return (1, scale * height, scale * width, 3), "uint8"


def as_picture(output: Any) -> Any:
    """What an artifact gives, (1, 3, H, W) float32 or (1, H, W, 3) uint8 -> (H, W, 3) uint8, rounded half up."""
    import numpy as np

    if output.dtype == np.uint8:
        return output[0]
    return (output[0].clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)


def psnr_db(a: Any, b: Any, peak: float = 255.0) -> float:
    """PSNR over all values of two arrays, 8-bit ones by default, dB; at most 100."""
    import numpy as np

    mse = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 100.0 if mse == 0 else min(100.0, float(10 * np.log10(peak**2 / mse)))


def accuracy(folder: str, job: Job) -> Dict[str, Dict[str, Any]]:
    """Mean PSNR of each artifact's outputs: against the clean pictures (psnr_db), against the fp32 artifact's outputs
    on this device (fidelity_db), and against its own outputs where it was made (parity_db); of the first pictures,
    against those of the torch model that an artifact was made of, or that simulates an int8 one (simulated_db)."""
    import numpy as np

    with np.load(os.path.join(folder, job["inputs"]["name"])) as file:
        stored = dict(file)
    outputs = {name: np.load(os.path.join(folder, f"output-{name}.npy")) for name in job["artifacts"]}
    fp32 = next((outputs[name] for name, item in job["artifacts"].items() if item["precision"] == "fp32"), None)
    by_artifact: Dict[str, Dict[str, Any]] = {}
    for name, own in outputs.items():
        others = {"psnr_db": stored.get("clean"), "fidelity_db": fp32, "parity_db": stored.get("output-" + name)}
        if fp32 is own:
            others["fidelity_db"] = None
        if "simulated-" + name in stored:
            others["simulated_db"] = stored["simulated-" + name]
        by_artifact[name] = {"n": len(own)}
        for key, other in others.items():
            fits = other is not None and other.shape[1:] == own.shape[1:]
            scores = [psnr_db(a, b) for a, b in zip(own, other)] if fits and other is not None else []
            by_artifact[name][key] = round(statistics.mean(scores), 4) if scores else None
    return by_artifact
