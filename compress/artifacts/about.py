"""What an artifact says of itself, so that it can be used where its bundle is not.

ONNX's ``metadata_props`` (``elir_compress.task``), OpenVINO's ``rt_info``, a .json beside a .pte; all values are text.
"""

ABOUT = "elir_compress"
KEYS = ("task", "scale", "k_steps", "sigma_s", "noise", "input", "output", "licence", "recipe")
"""``noise``: input or baked. ``licence``: as the checkpoint records it. ``recipe``: hash of what the artifact is made
by, the settings of model, passes and export, and the checkpoint's content."""
INPUT = "lq (1, 3, H, W) float32, RGB in [0, 1], enlarged by scale (bicubic, as Pillow's)"
NOISE_INPUT = "noise (1, 16, H/8, W/8) float32, standard normal"
OUTPUT = "hq (1, 3, H, W) float32, RGB in [0, 1]"


def about(task: str, scale: int, noise: str, **more: str) -> dict[str, str]:
    """Values of the ``KEYS`` that are known. ``more``: of ``k_steps``, ``sigma_s``, ``licence`` and ``recipe``."""
    inputs = INPUT if noise == "baked" else f"{INPUT}; {NOISE_INPUT}"
    return {"task": task, "scale": str(scale), "noise": noise, "input": inputs, "output": OUTPUT, **more}
