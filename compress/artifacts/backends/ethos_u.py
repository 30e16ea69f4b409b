"""Arm Ethos-U: the micro-NPU beside a Cortex-M or Cortex-A, by TOSA and Arm's compiler Vela."""

from typing import Any, ClassVar

from compress.artifacts.backends.base import Backend

INSTALL = (
    "pip install --no-deps tosa-tools==2026.5.0 ethos-u-vela==5.1.0, in an environment of its own: tosa-tools asks for "
    "numpy below 2.2"
)


class EthosU(Backend):
    title = "Arm Ethos-U"
    delegate = "EthosUBackend"
    packages: ClassVar = {"tosa_serializer": INSTALL, "ethosu": INSTALL}

    @property
    def not_run(self) -> str:
        return "an Ethos-U's commands run on the device only"

    def partitioner(self, *, float16: bool) -> Any:
        from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner

        return EthosUPartitioner(EthosUCompileSpec("ethos-u85-1024"))
