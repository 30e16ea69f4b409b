"""Core ML: CPU, GPU and Neural Engine of Apple's devices, from iOS 17 and macOS 14 on, which int8 activations need."""

import sys
from typing import Any, ClassVar

from compress.artifacts.backends.base import Backend


class Coreml(Backend):
    title = "Core ML"
    delegate = "CoreMLBackend"
    own_float16 = True
    packages: ClassVar = {"coremltools": "pip install coremltools==9.0 (Linux on x86-64, or macOS)"}

    @property
    def not_run(self) -> str:
        if sys.platform == "darwin":
            return ""
        return "Core ML runs on Apple's systems only, and here it is only compiled for: load the file there"

    def partitioner(self, *, float16: bool) -> Any:
        import coremltools
        from executorch.backends.apple.coreml.compiler import CoreMLBackend
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        # By default it computes every float32 graph in float16.
        precision = coremltools.precision.FLOAT16 if float16 else coremltools.precision.FLOAT32
        specs = CoreMLBackend.generate_compile_specs(
            compute_precision=precision, minimum_deployment_target=coremltools.target.iOS17
        )
        return CoreMLPartitioner(compile_specs=specs)
