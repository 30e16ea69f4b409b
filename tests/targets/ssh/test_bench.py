"""What is sent to a device of an artifact."""

from pathlib import Path
from typing import Any

from compress.artifacts.artifact import Artifact
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.targets.entries import Bench
from compress.targets.runner.state import check_names
from compress.targets.ssh.bench import _files, _job, _native


def bench_of(artifact: Artifact, folder: Path, runtime: Any, arch: Any = "x86_64") -> Bench:
    entry = folder / Path(artifact.entry).name
    for file in artifact.files:
        (folder / Path(file).name).write_bytes(b"")
    ssh: Any = {"host": "board"}
    target = DeployTarget(
        version=1, name="board", runtime=runtime, format=artifact.format, reach="ssh", ssh=ssh, arch=arch
    )
    return Bench({artifact: entry}, target, {}, "quick", Progress("silent"))


def test_three_graphs_keep_their_names(tmp_path: Path) -> None:
    bench = bench_of(Artifact("openvino", "int8", layout="staged"), tmp_path, "openvino")
    stems = [f"openvino-int8/{stage}" for stage in ("encode", "flow", "decode")]
    sent = _files(bench)
    assert [*sent] == [f"{stem}.{suffix}" for stem in stems for suffix in ("xml", "bin")]
    assert all(path.is_file() for path in sent.values())
    inputs = tmp_path / "inputs.npz"
    inputs.write_bytes(b"x")
    job = _job(bench, {**sent, "inputs.npz": inputs})
    assert job.artifacts["openvino-int8"].entry == "openvino-int8/encode.xml"
    assert [file.name for file in job.artifacts["openvino-int8"].files] == [*sent]
    check_names(job.model_copy(update={"lock": "/tmp/elir-compress.lock"}).model_dump())


def test_one_graph_is_called_the_same_whatever_its_name_here(tmp_path: Path) -> None:
    bench = bench_of(Artifact("onnx", "int8", "tensorrt"), tmp_path, "onnxruntime")
    assert [*_files(bench)] == ["onnx-int8-tensorrt/model.onnx"]


def test_the_native_runner_takes_one_program(tmp_path: Path) -> None:
    assert _native(bench_of(Artifact("executorch", "int8", layout="staged"), tmp_path, "executorch", "aarch64")) == {}
