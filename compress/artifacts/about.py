"""What an artifact's own metadata holds: ONNX's ``metadata_props``, OpenVINO's ``rt_info``."""

ABOUT = "elir_compress"
KEYS = ("task", "scale", "noise")
