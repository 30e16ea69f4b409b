"""ptq: post-training quantization to W8A8, by one of several engines."""

import importlib

from compress.elir.flow import FoldedFlow
from compress.elir.model import Elir
from compress.errors import InputError
from compress.passes.base import Pass, Subject
from compress.recipe.passes import MIN_PICTURES, PtqSettings, check_format
from compress.recipe.task import Task


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
        for name in subject.formats:
            check_format(self.settings, name)

    def check(self, model: Elir, task: Task) -> None:
        from compress.passes.quantize.engines.elir import quantizable

        quantizable(model, self.settings)

    def call(self, subject: Subject) -> None:
        module = importlib.import_module(f"compress.passes.quantize.engines.{self.settings.engine}")
        subject.quantized = module.quantize(subject, self.settings)
