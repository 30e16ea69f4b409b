"""What the device runner does without Python packages of the runtime: ExecuTorch's native program, TensorRT by CUDA."""

import ctypes
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compress.artifacts.runtime.open import open_runner
from compress.targets.runner import failure, runtimes, tensorrt
from compress.targets.tools.arm_emulator import LINKED, RUNNER
from compress.targets.tools.base import NATIVE

SIDE = 32
CUDART = """
#include <stdlib.h>
#include <string.h>
int cudaStreamCreate(void **stream) { *stream = (void *)1; return 0; }
int cudaStreamSynchronize(void *stream) { return 0; }
int cudaMalloc(void **place, size_t size) { *place = size > 1 << 30 ? 0 : malloc(size); return *place ? 0 : 2; }
int cudaGetDeviceProperties(char *name, int device) { strcpy(name, "NVIDIA Orin"); return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *stream) { memcpy(to, from, n); return 0; }
"""


@pytest.fixture()
def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((1, 16, SIDE // 8, SIDE // 8)).astype(np.float32)
    return {"lq": rng.random((1, 3, SIDE, SIDE), dtype=np.float32), "noise": noise}


# --- ONNX Runtime ---------------------------------------------------------------------------------------------


def onnx_job(**settings: Any) -> dict[str, Any]:
    return {"threads": 1, "options": {}, **settings}


@pytest.mark.parametrize(
    ("settings", "exit_code", "message"),
    [
        (
            {"provider": "coreml"},
            failure.UNAVAILABLE,
            r"ONNX Runtime here has no CoreMLExecutionProvider \(it has .*CPUExecutionProvider\): install",
        ),
        ({"options": {"soc": 1}}, failure.INPUT, r"option soc: unknown to ONNX Runtime: give .*provider\.\* entries"),
    ],
)
def test_what_this_onnx_runtime_lacks_is_named(settings: dict, exit_code: int, message: str) -> None:
    with pytest.raises(failure.Failure, match=message) as error:
        runtimes.Onnx("model.onnx", onnx_job(**settings))
    assert error.value.exit_code == exit_code


# --- ExecuTorch -----------------------------------------------------------------------------------------------


class Shift(torch.nn.Module):
    """Uses both inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, lq: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (self.conv(lq) + noise.mean()).clip(0, 1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the device has it: native/et_runner and its libraries, for this machine, and model.pte."""
    import executorch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from needs import require

    require("g++")
    folder = tmp_path_factory.mktemp("job")
    package = next(Path(path) for path in executorch.__path__)
    (folder / "native").mkdir()
    for name in LINKED:
        shutil.copy(package / "lib" / f"libexecutorch{name}.so", folder / "native")
    headers = [package / "include", package / "include/executorch/runtime/core/portable_type/c10"]
    command = ["g++", "-O1", "-w", "-std=c++17", "-DC10_USING_CUSTOM_GENERATED_MACROS"]
    command += [*(f"-I{path}" for path in headers), str(NATIVE / RUNNER), "-o", str(folder / "native/et_runner")]
    command += [f"-L{folder / 'native'}", "-Wl,--no-as-needed", *(f"-lexecutorch{name}" for name in LINKED)]
    subprocess.run([*command, "-Wl,--allow-shlib-undefined", "-Wl,-rpath,$ORIGIN"], check=True)
    torch.manual_seed(0)
    example = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 16, SIDE // 8, SIDE // 8)
    exported = torch.export.export(Shift().eval(), example)
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    (folder / "model.pte").write_bytes(lowered.to_executorch().buffer)
    return folder


def test_the_native_runner_gives_what_the_python_runtime_gives(program: Path, inputs: dict[str, np.ndarray]) -> None:
    native = runtimes.ExecuTorchNative(str(program / "model.pte"), {"folder": str(program), "threads": 1})
    here = open_runner(program / "model.pte", "executorch", 1).run(inputs["lq"], inputs["noise"])
    np.testing.assert_array_equal(native.run(inputs), here)
    other = {name: values / 2 for name, values in inputs.items()}
    assert not np.array_equal(native.run(other), here)
    np.testing.assert_array_equal(native.run(inputs), here)
    assert native.facts == {"threads": 1, "runner": "native"} and native.pid > 0
    native.process.kill()
    native.process.wait()
    with pytest.raises(failure.Failure, match="ExecuTorch's native runner ended there"):
        native.infer(inputs)


def test_the_python_runtime_loads_another_backend_first(program: Path, inputs: dict[str, np.ndarray]) -> None:
    """Beside the backends of the wheel: of those, its quantized kernels are a library, too."""
    import executorch

    folder = next(Path(path) for path in executorch.__path__) / "kernels/quantized"
    library = next(folder.glob("libquantized_ops_aot_lib.*"))
    job = {"threads": 1, "options": {}, "backend_library": str(library)}
    here = open_runner(program / "model.pte", "executorch", 1).run(inputs["lq"], inputs["noise"])
    np.testing.assert_array_equal(runtimes.ExecuTorch(str(program / "model.pte"), job).run(inputs), here)
    job["backend_library"] = str(program / "none.so")
    with pytest.raises(failure.Failure, match=r"none\.so cannot be loaded \(.*\): set it up again"):
        runtimes.ExecuTorch(str(program / "model.pte"), job)


def test_the_native_runner_says_why_it_cannot_load(program: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pte").write_bytes(b"nothing")
    with pytest.raises(failure.Failure, match="not a program that this runtime can load"):
        runtimes.ExecuTorchNative(str(tmp_path / "bad.pte"), {"folder": str(program), "threads": 1})


# --- TensorRT -------------------------------------------------------------------------------------------------


class Engine:
    """Halves lq, ignores the noise: two inputs and one output, in memory that the stub of CUDA gave."""

    shapes = {"lq": (1, 3, SIDE, SIDE), "noise": (1, 16, 4, 4), "hq": (1, 3, SIDE, SIDE)}  # noqa: RUF012
    num_io_tensors = 3

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def get_tensor_name(self, i: int) -> str:
        return list(self.shapes)[i]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def get_tensor_dtype(self, name: str) -> str:
        return "float32"

    def get_tensor_mode(self, name: str) -> str:
        return "output" if name == "hq" else "input"

    def create_execution_context(self) -> "Engine":
        return self

    def set_tensor_address(self, name: str, place: int) -> None:
        self.places[name] = place

    def execute_async_v3(self, stream: int) -> bool:
        lq, hq = (
            np.ctypeslib.as_array((ctypes.c_float * (3 * SIDE * SIDE)).from_address(self.places[n]))
            for n in ("lq", "hq")
        )
        hq[:] = lq / 2
        return True


def fake_tensorrt(log: list[Any], accepts: bool = True) -> types.ModuleType:
    """The parts of TensorRT's Python package that the runner uses."""
    trt: Any = types.ModuleType("tensorrt")
    config = types.SimpleNamespace(
        set_flag=lambda flag: log.append(flag),
        clear_flag=lambda flag: log.append(f"no {flag}"),
        set_memory_pool_limit=lambda pool, size: log.append((pool, size)),
        create_timing_cache=lambda stored: log.append(f"timings {stored!r}") or "cache",
        set_timing_cache=lambda cache, ignore: None,
        get_timing_cache=lambda: types.SimpleNamespace(serialize=lambda: b"measured"),
    )
    trt.Builder = lambda logger: types.SimpleNamespace(
        create_network=lambda flags: flags,
        create_builder_config=lambda: config,
        build_serialized_network=lambda network, config: b"engine",
    )
    trt.OnnxParser = lambda network, logger: types.SimpleNamespace(
        parse_from_file=lambda path: accepts, num_errors=1, get_error=lambda i: "In node 4:\n zero point"
    )
    trt.Runtime = lambda logger: types.SimpleNamespace(deserialize_cuda_engine=lambda plan: Engine())
    trt.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    trt.NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
    trt.BuilderFlag = types.SimpleNamespace(FP16="FP16", INT8="INT8", TF32="TF32")
    trt.MemoryPoolType = types.SimpleNamespace(WORKSPACE="workspace")
    trt.TensorIOMode = types.SimpleNamespace(INPUT="input", OUTPUT="output")
    trt.nptype = np.dtype
    return trt


@pytest.fixture()
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from needs import require

    require("g++")
    (tmp_path / "cudart.c").write_text(CUDART)
    library = tmp_path / "libcudart.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", library, tmp_path / "cudart.c"], check=True)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)  # this machine may have the real one
    monkeypatch.setattr(tensorrt.Cuda, "PLACES", (str(library),))
    artifacts = {f"onnx-{kind}": {"entry": f"{kind}.onnx", "precision": kind} for kind in ("fp32", "int8")}
    (tmp_path / "job").mkdir()
    return {"folder": str(tmp_path / "job"), "artifacts": artifacts, "memory_mb": 6000}


def test_an_engine_is_built_once_and_run(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, np.ndarray]
) -> None:
    log: list[Any] = []
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(log))
    engine = tensorrt.TensorRt(str(tmp_path / "int8.onnx"), job)
    np.testing.assert_array_equal(engine.run(inputs), inputs["lq"] / 2)
    assert log == ["INT8", "FP16", "no TF32", ("workspace", 6000 << 19), "timings b''"]
    assert engine.facts["flags"] == ["INT8", "FP16"] and engine.facts["engine_bytes"] == 6
    tensorrt.TensorRt(str(tmp_path / "int8.onnx"), job)
    assert len(log) == 5
    tensorrt.TensorRt(str(tmp_path / "fp32.onnx"), job)
    assert log[5:] == ["no TF32", ("workspace", 6000 << 19), "timings b'measured'"]
    assert engine.facts["gpu"] == "NVIDIA Orin"
    # The ONNX files may be a bundle's, in which nothing is to be left.
    assert not [path for path in tmp_path.iterdir() if "engine" in path.name]


def test_a_release_without_precision_flags_takes_the_files_types(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[Any] = []
    trt: Any = fake_tensorrt(log)
    trt.BuilderFlag = types.SimpleNamespace(TF32="TF32")
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    assert tensorrt.TensorRt(str(tmp_path / "int8.onnx"), job).facts["flags"] == ["STRONGLY_TYPED"]
    assert "INT8" not in log


def test_a_file_that_tensorrt_refuses(job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt([], accepts=False))
    with pytest.raises(failure.Failure, match=r"^TensorRT there refuses the ONNX file: In node 4: zero point$"):
        tensorrt.TensorRt(str(tmp_path / "int8.onnx"), job)


def test_a_device_without_cuda_or_gpu_memory(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(failure.Failure, match="out of memory on the GPU there: use a smaller picture"):
        tensorrt.Cuda().allocate(2 << 30)
    monkeypatch.setattr(tensorrt.Cuda, "PLACES", ())
    with pytest.raises(
        failure.Failure, match=r"CUDA's runtime \(libcudart.so\) is not found there: install JetPack's CUDA"
    ):
        tensorrt.Cuda()


def test_versions_are_compared_by_number() -> None:
    assert runtimes.numbers("1.18.0rc1") == (1, 18, 0) and runtimes.numbers("2026.1.0-123-abc") == (2026, 1, 0)
    assert runtimes.numbers("1.9") < runtimes.numbers("1.18")
