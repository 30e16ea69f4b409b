"""What an artifact says of itself, so that it can be used where its bundle is not.

ONNX's ``metadata_props`` (``elir_compress.task``), OpenVINO's ``rt_info``, a .json beside a .pte; all values are text.
"""

from compress.elir.noise_torus import MOST_SEED
from compress.recipe.schema import NoiseForm
from compress.recipe.task import Task, task_enlargement, task_scale

ABOUT = "elir_compress"
KEYS = ("task", "scale", "k_steps", "sigma_s", "noise", "io", "stage", "input", "output", "licence", "recipe")
"""``noise``: input, baked or seed. ``io``: uint8; missing in a float graph. ``stage``: encode, flow or decode; missing
in one graph of the whole model. ``licence``: as the checkpoint records it.
``recipe``: hash of what the artifact is made by, the settings of model, passes and export, and the checkpoint's
content."""
INPUT = "lq (1, 3, H, W) float32, RGB in [0, 1], enlarged by scale (bicubic, as Pillow's)"
NOISE_INPUT = "noise (1, 16, H/8, W/8) float32, standard normal"
PADDED = f"{NOISE_INPUT}, H and W rounded up to multiples of 32, to which the graph pads"
SEED_INPUT = f"seed (1,) int64 in [0, {MOST_SEED}], of the noise inside"
OUTPUT = "hq (1, 3, H, W) float32, RGB in [0, 1]"
IMAGE = "image (1, H/scale, W/scale, 3) uint8, RGB in [0, 255], channels last, enlarged inside ({by}, as Pillow's)"
RESTORED = "restored (1, H, W, 3) uint8, RGB in [0, 255], channels last, rounded half up"
_LATENT = "(1, 16, H/8, W/8) float32"
_WHOLE = "of a whole picture, H and W multiples of 32"
STAGES = {
    "encode": (INPUT, f"latent {_LATENT}"),
    "flow": (f"latent {_LATENT}, {_WHOLE}; {NOISE_INPUT}", f"restored_latent {_LATENT}, {_WHOLE}"),
    "decode": (f"restored_latent {_LATENT}; lq as encode, of a residual model", OUTPUT),
}
"""What each graph of a staged artifact takes and gives."""


def stage_about(task: Task, stage: str, **more: str) -> dict[str, str]:
    """Like ``about``, for one graph of a staged artifact."""
    given, made = STAGES[stage]
    return about(task, "input", "float", padded=False, **more) | {"stage": stage, "input": given, "output": made}


def about(task: Task, noise: NoiseForm, io: str, *, padded: bool = False, **more: str) -> dict[str, str]:
    """Values of the ``KEYS`` that are known. ``padded``: the graph pads inside. ``more``: of ``k_steps``, ``sigma_s``,
    ``licence`` and ``recipe``."""
    picture, output = (IMAGE.format(by=task_enlargement(task)), RESTORED) if io == "uint8" else (INPUT, OUTPUT)
    beside = {"input": PADDED if padded else NOISE_INPUT, "baked": "", "seed": SEED_INPUT}
    return {
        "task": task,
        "scale": str(task_scale(task)),
        "noise": noise,
        **({"io": io} if io == "uint8" else {}),
        "input": "; ".join(filter(None, (picture, beside[noise]))),
        "output": output,
        **more,
    }
