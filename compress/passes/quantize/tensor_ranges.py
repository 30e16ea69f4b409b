"""The range of every tensor of the float ONNX graph, on the calibration pictures: for schemes that quantize all."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from compress.files import temporary_folder
from compress.passes.base import Subject
from compress.passes.quantize.feeds import Feeds, Reader
from compress.passes.quantize.schemes import ActivationRange
from compress.quiet import quiet


def tensor_ranges(subject: Subject) -> dict[str, ActivationRange]:
    """Least and largest value by the tensor's name; 0 lies within. A run that was interrupted takes those it kept."""
    kept = subject.keep("tensor_ranges", lambda: _calibrate(subject))
    return {name: ActivationRange(*ends.tolist()) for name, ends in kept.items()}


def _calibrate(subject: Subject) -> dict[str, Tensor]:
    import onnx
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    reader = Reader(Feeds(subject))
    with temporary_folder() as folder, quiet():
        path, augmented = Path(folder) / "float.onnx", Path(folder) / "augmented.onnx"
        onnx.save(subject.float_graph("onnx"), path)
        calibrator = create_calibrator(path, None, str(augmented), CalibrationMethod.MinMax)
        reader.set_range(0, len(reader))
        calibrator.collect_data(reader)
        ranges = calibrator.compute_data()
    ends = {name: np.concatenate([np.ravel(end) for end in found.range_value]) for name, found in ranges.items()}
    return {name: torch.from_numpy(_around_zero(values)) for name, values in ends.items()}


def _around_zero(ends: np.ndarray) -> np.ndarray:
    return np.array([min(ends[0], 0), max(ends[1], 0)], np.float64)
