"""A small convolutional net with the artifacts' inputs, exported to each format, and what torch gives for it."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

SIDE = 32


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Conv2d(3, 8, 3, padding=1)
        self.noise = nn.Conv2d(16, 8, 1)
        self.out = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, lq: Tensor, noise: Tensor) -> Tensor:
        wide = nn.functional.interpolate(self.noise(noise), scale_factor=8.0)
        return self.out(torch.relu(self.picture(lq) + wide)).clamp(0, 1)


class Baked(nn.Module):
    def __init__(self, net: Net, noise: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("fixed", noise)

    def forward(self, lq: Tensor) -> Tensor:
        return self.net(lq, self.fixed)


@dataclass(frozen=True)
class Example:
    net: Net
    lq: np.ndarray
    noise: np.ndarray
    hq: np.ndarray

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.lq), torch.from_numpy(self.noise)


@pytest.fixture(scope="session")
def example() -> Example:
    torch.manual_seed(0)
    net = Net().eval().requires_grad_(False)
    lq, noise = torch.rand(1, 3, SIDE, SIDE), torch.randn(1, 16, SIDE // 8, SIDE // 8)
    return Example(net, lq.numpy(), noise.numpy(), net(lq, noise).numpy())


def export_onnx(module: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> Path:
    names = ["lq", "noise"][: len(inputs)]
    program = torch.onnx.export(module, inputs, dynamo=True, input_names=names, output_names=["hq"], verbose=False)
    program.save(path, external_data=False)
    return path


def export_openvino(module: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> Path:
    import openvino as ov

    model = ov.convert_model(module, example_input=inputs, input=[tuple(x.shape) for x in inputs])
    for port, name in zip(model.inputs, ("lq", "noise"), strict=False):
        port.tensor.set_names({name})
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def export_executorch(module: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> Path:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with warnings.catch_warnings(action="ignore"):
        exported = torch.export.export(module, inputs)
        program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(program.buffer)
    return path


EXPORTS = {
    "openvino": (export_openvino, ".xml"),
    "onnx": (export_onnx, ".onnx"),
    "executorch": (export_executorch, ".pte"),
}


@pytest.fixture(scope="session", params=list(EXPORTS))
def format(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def artifact(format: str, example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    export, suffix = EXPORTS[format]
    return export(example.net, example.inputs, tmp_path_factory.mktemp(format) / f"model{suffix}")


@pytest.fixture(scope="session")
def baked(format: str, example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    export, suffix = EXPORTS[format]
    module = Baked(example.net, torch.from_numpy(example.noise)).eval()
    return export(module, example.inputs[:1], tmp_path_factory.mktemp(f"{format}-baked") / f"model{suffix}")
