"""ONNX files through TensorRT-RTX's parser."""
