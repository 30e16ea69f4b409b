"""ptq: post-training quantization to W8A8, by one of several engines."""

import importlib

from compress.elir.flow import FoldedFlow
from compress.errors import InputError
from compress.passes.base import Pass, Subject
from compress.recipe.passes import MIN_PICTURES, PtqSettings

# engine -> (module of compress.passes.quantize.engines, formats it can write)
ENGINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "elir": ("elir", ("openvino", "onnx", "executorch")),
    "nncf": ("nncf", ("openvino", "onnx")),
    "torchao": ("torchao", ("openvino", "onnx", "executorch")),
    "neural_compressor": ("neural_compressor", ("openvino", "onnx")),
    "onnxruntime": ("onnxruntime", ("openvino", "onnx")),
}


class Ptq(Pass):
    """Calibrate on the sampling trajectory of real pictures and quantize."""

    name = "ptq"
    settings: PtqSettings

    def requires(self, subject: Subject) -> None:
        super().requires(subject)
        if not isinstance(subject.model.fmir, FoldedFlow):
            raise InputError("passes: ptq needs each Euler step as its own graph: put fold_time before it")
        if subject.calibration_count < MIN_PICTURES:
            raise InputError(
                f"data.calibration: {subject.calibration_count} pictures are too few for ptq, it needs {MIN_PICTURES} "
                "or more (32 are usual): use a larger set"
            )
        formats = ENGINES[self.settings.engine][1]
        for name in subject.formats:
            if name not in formats:
                raise InputError(
                    f"passes.ptq.engine: {self.settings.engine} writes {', '.join(formats)}, not {name}: "
                    f"remove {name} from export or use engine elir or torchao"
                )

    def call(self, subject: Subject) -> None:
        module = importlib.import_module(f"compress.passes.quantize.engines.{ENGINES[self.settings.engine][0]}")
        subject.quantized = module.quantize(subject, self.settings)
