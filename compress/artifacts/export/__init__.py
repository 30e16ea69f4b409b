"""torch -> ONNX, OpenVINO IR, ExecuTorch."""
