"""Olive's static quantization at its defaults, for ``benchmarks/peers.py``: ``python olive_peer.py FOLDER``.

Runs in an environment of its own (olive-ai, onnxruntime, torch). FOLDER holds ``float.onnx`` and ``feeds.npz``, the
calibration inputs ``lq`` (n, 3, S, S) and ``noise`` (n, 16, S/8, S/8); ``model.onnx`` is written there.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from olive.data.registry import Registry
from olive.workflows import run


class Feeds:
    """A picture's inputs without their batch dimension, and a label that nothing reads."""

    def __init__(self, path: str) -> None:
        with np.load(path) as file:
            self.lq, self.noise = file["lq"], file["noise"]

    def __len__(self) -> int:
        return len(self.lq)

    def __getitem__(self, i: int) -> tuple[dict[str, Any], int]:
        return {"lq": self.lq[i], "noise": self.noise[i]}, 0


@Registry.register_dataset()
def peers_feeds(data_dir: str, **_: Any) -> Feeds:
    """Olive's data set of this benchmark."""
    return Feeds(data_dir)


def main() -> None:
    """Quantize, and put Olive's model in place."""
    folder = Path(sys.argv[1]).absolute()
    feeds = {"type": "peers_feeds", "params": {"data_dir": str(folder / "feeds.npz")}}
    config = {
        "input_model": {"type": "OnnxModel", "model_path": str(folder / "float.onnx")},
        "data_configs": [{"name": "feeds", "load_dataset_config": feeds, "dataloader_config": {"batch_size": 1}}],
        "passes": {"quantize": {"type": "OnnxStaticQuantization", "data_config": "feeds"}},
        "output_dir": str(folder / "olive"),
        "cache_dir": str(folder / "cache"),
        "evaluate_input_model": False,
    }
    run(config)
    shutil.copyfile(next((folder / "olive").rglob("*.onnx")), folder / "model.onnx")


if __name__ == "__main__":
    main()
