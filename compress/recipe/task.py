"""The tasks of a model, and the degradation that each undoes."""

from typing import Literal

from compress.recipe.degradation import (
    BlindFace,
    BlindSuperResolution,
    Blur,
    Degradation,
    GaussianNoise,
    Grey,
    Mask,
    SuperResolution,
)

_OwnTask = Literal["sr_x2", "sr_x4", "sr_x8", "blind_sr_x4", "denoise", "deblur", "inpaint", "blind_face"]
_Restorations = Literal["sr_x8_published", "blind_sr_x4_published", "denoise_published", "blind_face_published"]
_Fillings = Literal["inpaint_published", "inpaint_square", "colorize"]
Task = Literal[_OwnTask, _Restorations, _Fillings]
TASKS: dict[Task, tuple[Degradation, ...]] = {
    "sr_x2": (SuperResolution(scale=2),),
    "sr_x4": (SuperResolution(scale=4),),
    "sr_x8": (SuperResolution(scale=8),),
    "blind_sr_x4": (BlindSuperResolution(scale=4),),
    "denoise": (GaussianNoise(sigma=25),),
    "deblur": (Blur(sigma=2), GaussianNoise(sigma=2)),
    "inpaint": (Mask(pattern="pixels", share=0.9),),
    "blind_face": (BlindFace(),),
    # As ELIR's authors trained; where a name above was taken, `_published`.
    "sr_x8_published": (SuperResolution(scale=8, noise=12.8, enlargement="nearest-exact"),),
    "blind_sr_x4_published": (BlindSuperResolution(scale=4, second_order=0),),
    "denoise_published": (GaussianNoise(sigma=89.6),),
    "blind_face_published": (
        BlindFace(
            kernels="isotropic",
            blur_sigma=[0.1, 15.0],
            downsample=[1 / 1.2, 32.0],
            uniform="side",
            noise=[0.0, 20.0],
            jpeg=[30.0, 100.0],
        ),
    ),
    "inpaint_published": (Mask(pattern="pixels", share=0.9), GaussianNoise(sigma=25.6)),
    "inpaint_square": (Mask(pattern="square", share=0.25), GaussianNoise(sigma=25.6)),
    "colorize": (Grey(), GaussianNoise(sigma=64)),
}
_INPUTS: dict[Task, str] = {
    "denoise": "noisy input",
    "deblur": "blurred input",
    "inpaint": "masked input",
    "blind_face": "degraded input",
    "sr_x8_published": "nearest enlargement",
    "denoise_published": "noisy input",
    "inpaint_published": "masked input",
    "blind_face_published": "degraded input",
    "inpaint_square": "masked input",
    "colorize": "grey input",
}


def task_degradation(task: Task) -> list[Degradation]:
    """The degradation that a task undoes."""
    return list(TASKS[task])


def task_scale(task: Task) -> int:
    """Output pixels per input pixel, along one side."""
    step = TASKS[task][0]
    return step.scale if isinstance(step, SuperResolution | BlindSuperResolution) else 1


def task_enlargement(task: Task) -> str:
    """How a small picture gets onto the output grid: bicubic, unless the task says otherwise."""
    step = TASKS[task][0]
    return step.enlargement if isinstance(step, SuperResolution) else "bicubic"


def task_border(task: Task) -> int:
    """Pixels that measures on luma leave out at every side: the scale in super-resolution, else none."""
    return task_scale(task) if task_scale(task) > 1 else 0


def task_input(task: Task) -> str:
    """What the input, left as it is, is called beside a model: the baseline to beat."""
    return _INPUTS.get(task, "bicubic")
