"""OpenVINO, called by ExecuTorch: for programs that open .pte files alone. The format openvino is the faster way."""

from typing import Any, ClassVar

from compress.artifacts.backends.base import Backend


class Openvino(Backend):
    title = "OpenVINO"
    delegate = "OpenvinoBackend"
    packages: ClassVar = {"openvino": "pip install openvino"}

    @property
    def not_run(self) -> str:
        # 1.5.1 beside openvino 2026.4.1, in a process of its own: it loads the program, and ends with signal 11 in it.
        return (
            "ExecuTorch's OpenVINO runtime is built for openvino before 2026, and crashes with the one that is "
            "installed here: use the format openvino, or run the file with ExecuTorch built against this OpenVINO"
        )

    def partitioner(self, *, float16: bool) -> Any:
        from executorch.backends.openvino.partitioner import OpenvinoPartitioner
        from executorch.exir.backend.compile_spec_schema import CompileSpec

        return OpenvinoPartitioner([CompileSpec("device", b"CPU")])
