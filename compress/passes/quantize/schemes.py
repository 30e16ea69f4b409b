"""How each runtime's int8 kernels take activations: a scheme for OpenVINO, ONNX Runtime, TensorRT and XNNPACK."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ActivationRange:
    """Range of a tensor, low <= 0 <= high; one scale for the whole tensor."""

    low: float
    high: float


@dataclass(frozen=True)
class Scheme:
    """How activations become 8-bit integers.

    ``signed``: int8 instead of uint8. ``symmetric``: zero point 0. ``centred``: both where a tensor has negative
    values, neither where it has none. ``outputs``: the outputs of convolutions are quantized too. ``shortcuts``: large
    residual blocks add 8-bit tensors, namely what their first convolution reads and the branch's output.
    ``enlarges``: nearest-neighbour enlargement works on 8-bit tensors, by a transposed convolution.
    """

    signed: bool = False
    symmetric: bool = False
    centred: bool = False
    outputs: bool = False
    shortcuts: bool = False
    enlarges: bool = False

    def of(self, range_: ActivationRange) -> "Scheme":
        """The scheme as it applies to a tensor of this range."""
        return replace(self, signed=True, symmetric=True) if self.centred and range_.low < 0 else self


# OpenVINO: unsigned, so that what follows a ReLU keeps all 256 levels; a zero point elsewhere costs convolutions time,
# and leaves transposed ones in float. A convolution may write floats.
OPENVINO = Scheme(centred=True, shortcuts=True)
# ONNX Runtime runs a convolution in int8 only when its output is quantized too.
ONNXRUNTIME = Scheme(outputs=True)
# TensorRT refuses uint8 and zero points: a tensor that follows a ReLU loses one bit there.
TENSORRT = Scheme(signed=True, symmetric=True)
# XNNPACK: as ONNX Runtime, with the same scales and zero points less 128; it has no nearest-neighbour enlargement.
XNNPACK = Scheme(signed=True, outputs=True, enlarges=True)

SCHEMES = {"openvino": OPENVINO, "onnxruntime": ONNXRUNTIME, "tensorrt": TENSORRT, "xnnpack": XNNPACK}
FORMAT_OF = {"openvino": "openvino", "onnxruntime": "onnx", "tensorrt": "onnx", "xnnpack": "executorch"}
"""Scheme -> format; the first of a format's schemes is for the artifact that every recipe writes."""
SCHEME_OF = {format_: scheme for scheme, format_ in reversed(FORMAT_OF.items())}
"""Format -> its first scheme."""
BOTH_X86 = "x86"
"""Where one module serves OpenVINO and ONNX Runtime."""
