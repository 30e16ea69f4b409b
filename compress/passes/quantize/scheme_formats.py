"""Which format each quantization scheme is for."""

FORMAT_OF = {"openvino": "openvino", "onnxruntime": "onnx", "tensorrt": "onnx", "xnnpack": "executorch"}
"""Scheme -> format; the first of a format's schemes is for the artifact that every recipe writes."""
SCHEME_OF = {format_: scheme for scheme, format_ in reversed(FORMAT_OF.items())}
"""Format -> its first scheme."""
BOTH_X86 = "x86"
"""Where one module serves OpenVINO and ONNX Runtime."""
