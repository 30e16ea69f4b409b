"""Parses one ONNX file with TensorRT-RTX, without a GPU: ``python tensorrt_parse.py MODEL``, in a process of its own.

Prints one JSON document: ``version``, ``accepted``, ``errors`` (one line each), ``layers`` (count by type).
"""

import json
import os
import sys
from collections import Counter


def main() -> None:
    """Parse the file that the command line names."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the parser prints to stdout
    import tensorrt_rtx_bindings as trt

    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    accepted = parser.parse_from_file(sys.argv[1])
    errors = [" ".join(str(parser.get_error(i)).split()) for i in range(parser.num_errors)]
    layers = Counter(network.get_layer(i).type.name for i in range(network.num_layers))
    answer = {"version": trt.__version__, "accepted": accepted, "errors": errors, "layers": dict(layers)}
    json.dump(answer, answers)
    answers.close()


if __name__ == "__main__":
    main()
