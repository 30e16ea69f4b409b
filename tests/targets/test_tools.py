"""The real QEMU, Intel's compiler and TensorRT-RTX's parser on small files. Each is set up first, by downloads.

Where its sources cannot be reached the test is skipped, and the reason says so. All tools are set up in one folder, the
session's, by whichever of its processes comes first; with COMPRESS_CACHE set, what is set up there is used and kept.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime_headers import runtime_folder
from PIL import Image

from compress.artifacts.artifact import Artifact
from compress.artifacts.export.htp_graph import htp_graph
from compress.artifacts.export.to_onnx import save_onnx, to_onnx
from compress.artifacts.runtime.open import open_runner
from compress.elir.model import Elir, ElirConfig
from compress.elir.noise import noise_field
from compress.errors import Unavailable
from compress.package.readme import TEMPLATES
from compress.passes.base import Subject
from compress.passes.collapse import Collapse
from compress.passes.fold_time import FoldTime
from compress.passes.quantize.engines.elir import quantize
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.passes import CollapseSettings, FoldTimeSettings, PtqSettings
from compress.recipe.validation import load_model
from compress.restore.open import Settings, default_overlap, open_restorer
from compress.targets.emulator.qemu import Emulator
from compress.targets.entries import Bench
from compress.targets.hexagon.bench import bench_simulated
from compress.targets.npu.compiler import compile_for
from compress.targets.runner.accuracy import picture
from compress.targets.tensorrt_parser.bench import bench_parsed
from compress.targets.tools import Tool, tool
from compress.targets.tools.arm_emulator import ArmEmulator
from compress.targets.tools.intel_npu_compiler import IntelNpuCompiler

pytestmark = [pytest.mark.downloads, pytest.mark.slow]
KEPT = os.environ.get("COMPRESS_CACHE")
SIDE, CHANNELS = 32, 32
UNREACHABLE = ("apt", "pip download", "needs apt-get", "needs an x86_64", "Qualcomm's simulator needs Linux")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tools are: one folder for all of pytest-xdist's workers. A tool that one sets up, others wait for."""
    own = tmp_path_factory.getbasetemp()
    return Path(KEPT or (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tools")


def set_up(name: str, folder: Path) -> Tool:
    """The tool, or the reason why this test is skipped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESS_CACHE", str(folder))
        result = tool(name)
        try:
            result.setup(Progress("lines"))
        except Unavailable as error:
            if str(error).startswith(UNREACHABLE):
                pytest.skip(f"{name}: what it is made of cannot be downloaded here: {error}")
            raise
    return result


@pytest.fixture(scope="module")
def emulator(cache: Path) -> Tool:
    return set_up("arm-emulator", cache)


@pytest.fixture(scope="module")
def compiler(cache: Path) -> Tool:
    return set_up("intel-npu-compiler", cache)


@pytest.fixture()
def simulator(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up("hexagon-simulator", cache)
    monkeypatch.setenv("COMPRESS_CACHE", str(cache))


@pytest.fixture()
def parser(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up("tensorrt-rtx", cache)
    monkeypatch.setenv("COMPRESS_CACHE", str(cache))


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    lq = rng.integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    return {"lq": lq, "noise": rng.standard_normal((1, 16, SIDE // 8, SIDE // 8)).astype(np.float32)}


def write(path: Path, int8: bool, kind: int = TensorProto.UINT8, point: int = 0, side: int | str = SIDE) -> Path:
    """lq -> a convolution to CHANNELS channels -> one back to hq, float or int8; weights of 7 bits."""
    rng = np.random.default_rng(1)
    values: dict[str, np.ndarray] = {"scale": np.float32(1 / 255), "point": np.asarray(point, np.int8)}
    if kind == TensorProto.UINT8:
        values["point"] = np.asarray(point, np.uint8)
    nodes, name = [], "lq"
    for i, (out, into) in enumerate([(CHANNELS, 3), (3, CHANNELS)]):
        weights = rng.integers(-63, 64, (out, into, 3, 3)).astype(np.int8)
        scale = np.float32(1 / (63 * into))
        values |= {f"w{i}": weights if int8 else (weights * scale).astype(np.float32)}
        values |= {f"s{i}": scale, f"z{i}": np.int8(0)} if int8 else {}
        if int8:
            nodes += [
                helper.make_node("QuantizeLinear", [name, "scale", "point"], [f"q{i}"]),
                helper.make_node("DequantizeLinear", [f"q{i}", "scale", "point"], [f"x{i}"]),
                helper.make_node("DequantizeLinear", [f"w{i}", f"s{i}", f"z{i}"], [f"d{i}"]),
            ]
        pair = [f"x{i}", f"d{i}"] if int8 else [name, f"w{i}"]
        nodes += [
            helper.make_node("Conv", pair, [f"c{i}"], pads=[1] * 4),
            helper.make_node("Relu", [f"c{i}"], [f"r{i}"]),
        ]
        name = f"r{i}"
    if int8:
        nodes.append(helper.make_node("QuantizeLinear", [name, "scale", "point"], ["q"]))
        nodes.append(helper.make_node("DequantizeLinear", ["q", "scale", "point"], ["hq"]))
    else:
        nodes.append(helper.make_node("Identity", [name], ["hq"]))
    ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, [1, 3, side, side]) for port in ("lq", "hq")]
    inits = [numpy_helper.from_array(np.asarray(value), key) for key, value in values.items()]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], inits)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def here(path: Path, format: str, stored: dict[str, np.ndarray]) -> np.ndarray:
    given = picture(stored, 0)
    return open_runner(path, format, 1).run(given["lq"], given["noise"])[0]  # type: ignore[arg-type]


MACS = 2 * SIDE * SIDE * 9 * 3 * CHANNELS
float_model = pytest.param(False, marks=pytest.mark.nightly, id="fp32")


@pytest.mark.parametrize("int8", [pytest.param(True, id="int8"), float_model])
@pytest.mark.parametrize("cpu", ["cortex-a72", "cortex-a76"])
def test_onnx_runtime_on_an_emulated_core(
    emulator: ArmEmulator, stored: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: str, int8: bool
) -> None:
    path = write(tmp_path / "model.onnx", int8)
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path))  # it runs, whatever was run before
    result = Emulator(cpu, "onnxruntime", {}, emulator).run(path, stored, lambda text: None)
    np.testing.assert_allclose(result.outputs[0], here(path, "onnx", stored), atol=1e-5)
    counted = result.instructions
    if int8 and cpu == "cortex-a76":
        assert counted["dot_product"] * 16 >= MACS // 2
    else:
        assert counted["dot_product"] == 0
        assert counted["int_multiply"] > 0 if int8 else counted["fmla"] * 4 >= MACS * 9 // 10


class Halved(torch.nn.Module):
    """Uses both inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, lq: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return (self.conv(lq) / 2 + noise.mean()).clip(0, 1)


def lowered(path: Path) -> Path:
    """``Halved`` for XNNPACK, written to ``path``."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    torch.manual_seed(0)
    example = torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 16, SIDE // 8, SIDE // 8)
    exported = torch.export.export(Halved().eval(), example)
    path.write_bytes(to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)
    return path


def test_executorch_on_an_emulated_core(emulator: ArmEmulator, stored: dict, tmp_path: Path) -> None:
    path = lowered(tmp_path / "model.pte")
    core = Emulator("cortex-a76", "executorch", {}, emulator)
    result = core.run(path, stored, lambda text: None)
    np.testing.assert_allclose(result.outputs[0], here(path, "executorch", stored), atol=1e-5)
    assert result.instructions["total"] > result.instructions["fmla"] > 0
    messages: list[str] = []
    again = core.run(path, stored, messages.append)
    assert again.instructions == result.instructions and messages == ["run before: from the cache folder"]


@pytest.mark.parametrize("format", ["executorch", "onnxruntime"])
def test_the_cpp_of_a_package_on_an_emulated_core(
    format: str, emulator: ArmEmulator, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Cross-compiled against the runtime's wheel for ARM; four tiles of a picture, as `compress restore` gives it."""
    settings: dict[str, Any] = {}
    if format == "executorch":
        path = lowered(tmp_path / "model.pte")
        settings["executorch_DIR"] = emulator.site / "executorch/share/cmake"
    else:
        path = write(tmp_path / "model.onnx", int8=True)
        headers = request.getfixturevalue("onnxruntime_headers")
        settings["ONNXRUNTIME"] = runtime_folder(headers, emulator.site / "onnxruntime", tmp_path / "runtime")
    for programs in ("common", format):
        shutil.copytree(TEMPLATES / programs / "cpp", tmp_path / "cpp", dirs_exist_ok=True)
    facts = {"scale": 1, "overlap": default_overlap((SIDE, SIDE)), "device": "CPU", "options": {}}
    (tmp_path / "compress.json").write_text(json.dumps(facts))
    tools = Path(sys.executable).parent
    settings |= {
        "CMAKE_MAKE_PROGRAM": tools / "ninja",
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_SYSROOT": emulator.host,
        "CMAKE_CXX_COMPILER": emulator.host / "usr/bin/aarch64-linux-gnu-g++",
    }
    defined = [f"-D{name}={value}" for name, value in settings.items()]
    for words in (["-S", "cpp", "-B", "build", "-G", "Ninja", *defined], ["--build", "build"]):
        done = run([tools / "cmake", *words], emulator, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    picture = np.random.default_rng(2).integers(0, 256, (SIDE + 5, SIDE + 9, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.ppm")
    noise_field(*picture.shape[:2], 0).tofile(tmp_path / "noise.bin")
    core = emulator.emulate("cortex-a72", tmp_path / "root")
    done = run([*core, "build/restore", path, "photo.ppm", "restored.ppm", "noise.bin"], emulator, tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "restored.ppm") as image:
        restored = np.asarray(image, np.int16)
    wanted = open_restorer(str(path), Settings(scale=1)).restore(picture, lambda: None)
    assert np.abs(restored - wanted).max() <= 1


def run(command: Sequence[str | Path], emulator: ArmEmulator, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | emulator.environment
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=folder, env=environment)


def test_qualcomms_npu_gives_the_pictures_of_here(simulator: None, stored: dict, tmp_path: Path) -> None:
    target = load_model(DeployTarget, find("targets", "snapdragon-x-elite"))
    artifacts = {
        Artifact("onnx", "fp32"): write(tmp_path / "fp32.onnx", False),
        Artifact("onnx", "int8"): write(tmp_path / "int8.onnx", True),
    }
    bench = Bench(artifacts, target, stored, "quick", Progress("silent"))
    for entry in (first := bench_simulated(bench)):
        assert (entry.evidence, entry.accepted, entry.latency_ms, entry.why) == ("emulated", True, None, None)
        assert entry.accuracy is not None and (entry.accuracy.parity_db or 0) > 35
        assert entry.runtime is not None and entry.runtime["provider"] == "QNNExecutionProvider"
        # Where pictures go in and come out, their quantizers may stay on the CPU.
        assert {*entry.runtime["outside_types"]} <= {"QuantizeLinear", "DequantizeLinear"}  # type: ignore[misc]
        assert isinstance(nodes := entry.runtime["provider_nodes"], int) and nodes >= 4
    assert bench_simulated(bench) == first  # from the cache folder


def test_an_npu_without_float_takes_quantized_operators_alone(simulator: None, stored: dict, tmp_path: Path) -> None:
    target = load_model(DeployTarget, find("targets", "qualcomm-qcs6490"))
    artifacts = {
        Artifact("onnx", "int8"): write(tmp_path / "float.onnx", int8=False),
        Artifact("onnx", "int8", "htp"): write(tmp_path / "quantized.onnx", int8=True),
    }
    refused, accepted = bench_simulated(Bench(artifacts, target, stored, "quick", Progress("silent")))
    assert (refused.evidence, refused.accepted) == ("unavailable", False)
    assert (refused.why or "").startswith("target qualcomm-qcs6490: onnx-int8: the compiler refuses it: ")
    assert len((refused.why or "").splitlines()) == 1
    assert (refused.lint or [""])[0].startswith("5 operators are in float (2 Conv, 2 Relu, 1 Identity), which an NPU")
    assert (accepted.evidence, accepted.accepted, accepted.lint) == ("emulated", True, [])
    assert accepted.accuracy is not None and (accepted.accuracy.parity_db or 0) > 35


def test_a_whole_elir_on_an_npu_without_float(simulator: None, tmp_path: Path) -> None:
    side = 64
    rng = np.random.default_rng(3)
    lq = rng.integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    pictures = {"lq": lq, "noise": rng.standard_normal((1, 16, side // 8, side // 8)).astype(np.float32)}
    pair = tuple(map(torch.from_numpy, picture(pictures, 0).values()))
    widths = {"enc_widths": (16,) * 4, "enc_blocks": (1,) * 4, "dec_widths": (16,) * 4, "dec_blocks": (1,) * 4}
    torch.manual_seed(0)
    config = ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, k_steps=1, **widths)  # type: ignore[arg-type]
    model = Elir(config).eval().requires_grad_(False)
    subject = Subject(model, lambda: iter([pair]), 1, (side, side), ("onnx",), htp=True)
    Collapse(CollapseSettings()).run(subject)
    FoldTime(FoldTimeSettings()).run(subject)
    graph = to_onnx(subject.model, (side, side))
    subject.float_graph = lambda format_: graph
    quantized = quantize(subject, PtqSettings())
    path = tmp_path / "model.onnx"
    save_onnx(htp_graph(graph, subject.model, quantized.layers, quantized.ranges), path)
    target = load_model(DeployTarget, find("targets", "qualcomm-qcs6490"))
    artifacts = {Artifact("onnx", "int8", "htp"): path}
    (entry,) = bench_simulated(Bench(artifacts, target, pictures, "quick", Progress("silent")))
    assert (entry.evidence, entry.accepted, entry.lint) == ("emulated", True, [])
    assert entry.runtime is not None and entry.runtime["provider_nodes"] > 1000  # type: ignore[operator]
    assert {*entry.runtime["outside_types"]} <= {"QuantizeLinear", "DequantizeLinear"}  # type: ignore[misc]
    assert entry.accuracy is not None and (entry.accuracy.parity_db or 0) > 60


def test_intels_compiler_accepts_and_refuses(compiler: IntelNpuCompiler, tmp_path: Path) -> None:
    for name, int8, side in (("int8", True, SIDE), ("open", False, "n")):
        ov.save_model(ov.convert_model(write(tmp_path / f"{name}.onnx", int8, side=side)), tmp_path / f"{name}.xml")
    taken = compile_for("NPU4000", tmp_path / "int8.xml", compiler)
    assert taken.error is None and taken.blob_bytes and taken.estimate is not None
    assert 0 < taken.estimate.latency_ms < 1 and taken.estimate.int8_share > 0.5
    assert taken.estimate.layers[0].ms > 0 and taken.estimate.compiler
    refused = compile_for("NPU4000", tmp_path / "open.xml", compiler)
    assert refused.estimate is None and "upper bound" in (refused.error or "").lower()


def test_tensorrts_parser_accepts_and_refuses(parser: None, tmp_path: Path) -> None:
    target = load_model(DeployTarget, find("targets", "jetson-orin-nano"))
    right = write(tmp_path / "right.onnx", True, TensorProto.INT8)
    wrong = write(tmp_path / "wrong.onnx", True, TensorProto.UINT8, 3)
    artifacts = {Artifact("onnx", "int8", "tensorrt"): right, Artifact("onnx", "int8"): wrong}
    taken, refused = (e.to_json() for e in bench_parsed(Bench(artifacts, target, {}, "quick", Progress("silent"))))
    assert (taken["evidence"], taken["accepted"], taken["lint"]) == ("parsed", True, [])
    assert taken["parser"]["layers"]["CONVOLUTION"] == 2 and taken["latency_ms"] is None
    assert (refused["evidence"], refused["accepted"]) == ("unavailable", False) and refused["lint"]
    assert refused["why"].startswith("target jetson-orin-nano: onnx-int8: the parser refuses it: In node 0")
