"""NVIDIA ModelOpt's int8 quantization at its defaults, for ``benchmarks/placement.py``: ``modelopt_peer.py FOLDER``.

Runs in an environment of its own (nvidia-modelopt[onnx]). FOLDER holds ``float.onnx`` and ``feeds.npz``, the
calibration inputs ``lq`` (n, 3, S, S) and ``noise`` (n, 16, S/8, S/8); ``modelopt.onnx`` is written there. What is not
quantized stays float32, as in our file: ModelOpt would otherwise make it float16.
"""

import sys
from pathlib import Path

import numpy as np
from modelopt.onnx.quantization import quantize


def main() -> None:
    """Quantize."""
    folder = Path(sys.argv[1]).absolute()
    with np.load(folder / "feeds.npz") as file:
        feeds = {name: file[name] for name in file.files}
    quantize(
        str(folder / "float.onnx"),
        quantize_mode="int8",
        calibration_data=feeds,
        calibration_eps=["cpu"],
        output_path=str(folder / "modelopt.onnx"),
        high_precision_dtype="fp32",
    )


if __name__ == "__main__":
    main()
