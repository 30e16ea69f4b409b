"""ExecuTorch's backends by name, and what each can be asked for."""

from typing import Literal, get_args

Backend = Literal["xnnpack", "vulkan", "coreml", "openvino", "ethos_u"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

TAKES: dict[Backend, tuple[str, ...]] = {
    "xnnpack": ("fp32", "fp16", "int8"),
    "vulkan": ("fp32", "fp16", "int8"),
    "coreml": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16"),
    "ethos_u": ("int8",),
}
"""Precisions that a backend has kernels for. OpenVINO's converter refuses the quantized convolutions of our int8 graph
(2026.4: `element type i8 ... f32`), and an Ethos-U computes with integers alone."""


def refusal(backend: Backend, precision: str) -> str:
    """Why ``backend`` does not take ``precision``, and what does; "" where it does."""
    if precision in TAKES[backend]:
        return ""
    others = [name for name in BACKENDS if precision in TAKES[name]]
    instead = f"; {precision} is taken by {', '.join(others)}" if others else ""
    own = " and ".join(TAKES[backend])
    return f"precision {precision} does not go with backend {backend}: give {own}{instead}"
