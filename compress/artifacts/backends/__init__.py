"""What an ExecuTorch program is lowered for: a file for each backend."""

from compress.artifacts.backends.base import Backend
from compress.artifacts.backends.coreml import Coreml
from compress.artifacts.backends.ethos_u import EthosU
from compress.artifacts.backends.openvino import Openvino
from compress.artifacts.backends.vulkan import Vulkan
from compress.artifacts.backends.xnnpack import Xnnpack
from compress.recipe import backends

__all__ = ["BACKENDS", "Backend", "backend_in"]

BACKENDS: dict[backends.Backend, Backend] = {
    "xnnpack": Xnnpack(),
    "vulkan": Vulkan(),
    "coreml": Coreml(),
    "openvino": Openvino(),
    "ethos_u": EthosU(),
}
"""Each backend by its name in a recipe's ``export.executorch.backend``."""


def backend_in(program: bytes) -> Backend:
    """The backend whose delegate's name a .pte holds; XNNPACK where it holds none."""
    named = (backend for backend in BACKENDS.values() if backend.delegate.encode() in program)
    return next(named, BACKENDS["xnnpack"])
