"""Loads what the commands load, so that every forked case starts in milliseconds."""

import importlib

LIBRARIES = (
    *("alembic.command", "jinja2", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "openvino", "PIL.ImageCms"),
    *("rich.table", "safetensors.torch", "skimage.metrics", "sqlalchemy", "torch.onnx._internal.exporter._core"),
    *(
        "compress.cli.commands",
        "compress.pipeline.apply",
        "compress.ledger.report",
        "compress.restore.pictures",
        "compress.restore.evaluate",
    ),
)


def warm() -> None:
    """Import the heavy libraries; start no thread, which a fork would lose."""
    for name in LIBRARIES:
        importlib.import_module(name)
    import PIL.Image
    import torch

    torch.set_num_threads(1)
    PIL.Image.init()
