"""ExecuTorch's backends by name, and what each can be asked for."""

from typing import Literal, get_args

Backend = Literal["xnnpack", "vulkan", "coreml", "openvino", "ethos_u"]
Accelerator = Literal[
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
]
"""An Ethos-U with its multiply-accumulates per cycle, as Vela names it."""
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


def variant_of(backend: Backend, accelerator: Accelerator | None) -> str:
    """What stands in the id of an artifact: nothing for XNNPACK, and of an Ethos-U which one."""
    if backend == "ethos_u" and accelerator:
        return accelerator.replace("-", "_")
    return "" if backend == "xnnpack" else backend


def backend_of(variant: str) -> Backend:
    """The backend of a ``variant_of``; XNNPACK of any other variant."""
    if variant.startswith("ethos_u"):
        return "ethos_u"
    return next((name for name in BACKENDS if name == variant), "xnnpack")


def check_accelerator(backend: Backend, accelerator: Accelerator | None) -> None:
    """Raise ValueError unless an Ethos-U is named, and nothing but an Ethos-U."""
    if (backend == "ethos_u") != (accelerator is not None):
        rule = "is missing: give it, for example ethos-u55-256" if accelerator is None else "must be left out"
        raise ValueError(f"accelerator {rule}, since backend is {backend}")
