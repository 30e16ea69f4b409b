"""Entries of programs on this machine's Vulkan device: a GPU's have times, those of a driver on the CPU none.

The library here only names a device, and the program is XNNPACK's: what the runtime, built from a clone, makes of
Vulkan's own programs is in docs/devices_executorch.md.
"""

import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from compress.artifacts.artifact import Artifact
from compress.errors import Unavailable
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.validation import load_model
from compress.targets.entries import Bench
from compress.targets.local import ARCHES
from compress.targets.tools.executorch_vulkan import ExecutorchVulkan
from compress.targets.vulkan import bench_vulkan

SIDE = 32
FP32 = Artifact("executorch", "fp32")


class Scaled(torch.nn.Module):
    """Uses both inputs; what it gives is half as bright."""

    def forward(self, lq: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (lq / 2 + noise.mean()).clip(0, 1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    example = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 16, SIDE // 8, SIDE // 8)
    lowered = to_edge_transform_and_lower(torch.export.export(Scaled(), example), partitioner=[XnnpackPartitioner()])
    path = tmp_path_factory.mktemp("program") / "model.pte"
    path.write_bytes(lowered.to_executorch().buffer)
    return path


@pytest.fixture()
def bench(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path))
    here = platform.machine().lower()
    target = load_model(DeployTarget, find("targets", "x86-executorch-vulkan"), [f"arch={ARCHES.get(here, here)}"])
    lq = np.full((3, SIDE, SIDE, 3), 100, np.uint8)
    pictures = {"lq": lq, "noise": np.zeros((3, 16, SIDE // 8, SIDE // 8), np.float32), "clean": lq // 2}
    return Bench({FP32: program}, target, pictures, "quick", Progress("silent"))


def set_up(said: str, folder: Path) -> None:
    """The tool, whose library names the device ``said``."""
    made = ExecutorchVulkan()
    made.folder.mkdir(parents=True)
    source = folder / "device.cpp"
    source.write_text(f'extern "C" const char* vulkan_device() {{ return "{said}"; }}\n')
    subprocess.run(["g++", "-shared", "-fPIC", str(source), "-o", str(made.library)], check=True)
    (made.folder / "ready").touch()


@pytest.mark.needs("g++")
def test_a_driver_on_the_cpu_has_pictures_and_no_times(bench: Bench, tmp_path: Path) -> None:
    set_up("4|llvmpipe (LLVM 15.0.6, 256 bits)|llvmpipe Mesa 22.3.6", tmp_path)
    (entry,) = bench_vulkan(bench)
    assert (entry.evidence, entry.latency_ms, entry.load_ms) == ("emulated", None, None)
    assert entry.accuracy and (entry.accuracy.n, entry.accuracy.psnr_db) == (2, 100)
    assert entry.runtime and entry.runtime["vulkan_device"] == "llvmpipe (LLVM 15.0.6, 256 bits)"
    assert entry.runtime["vulkan_driver"] == "llvmpipe Mesa 22.3.6" and entry.runtime["executorch"]


@pytest.mark.needs("g++")
def test_a_gpu_is_measured(bench: Bench, tmp_path: Path) -> None:
    set_up("2|A GPU|its driver 1.0", tmp_path)
    (entry,) = bench_vulkan(bench)
    assert entry.evidence == "measured" and entry.latency_ms and (entry.latency_ms.n or 0) >= 20
    assert entry.accuracy and (entry.accuracy.n, entry.accuracy.psnr_db) == (3, 100)
    assert entry.runtime and entry.runtime["vulkan_device"] == "A GPU"


@pytest.mark.needs("g++")
def test_no_device_is_told_in_a_line(bench: Bench, tmp_path: Path) -> None:
    set_up("", tmp_path)
    with pytest.raises(Unavailable, match=r"^target x86-executorch-vulkan: no Vulkan driver offers a device here: "):
        bench_vulkan(bench)
