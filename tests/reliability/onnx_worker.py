"""Runs the ONNX models that ``older_cpu`` sends; imports little, since valgrind makes everything 30 times slower."""

import pickle
import sys

import onnxruntime


def main() -> None:
    """One (model, feeds) after the other, until stdin ends."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    while True:
        try:
            model, feeds = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        pickle.dump(session.run(None, feeds), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
