"""Measuring over a real ssh connection, cut in the middle, refused, lost; nothing is left on the device."""

import _thread
import fcntl
import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.artifacts.artifact import Artifact
from compress.artifacts.runtime.open import open_runner
from compress.errors import CompressError, Unavailable, VerificationError
from compress.measure.latency import PROTOCOLS, Protocol
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.targets.bench import bench_target
from compress.targets.entries import Bench
from compress.targets.ssh import bench as ssh_benching
from compress.targets.ssh import retry

SIDE = 32
SILENT = Progress("silent")
LOCK = "elir-compress-test.lock"
Measure = Callable[..., list[dict[str, Any]]]


def write_onnx(path: Path, weight: float) -> Path:
    """lq * weight + mean(noise) * 0, clipped; with 2 MB of weights, so that copying takes a while."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    ballast = np.random.default_rng(0).standard_normal(500_000).astype(np.float32)
    inits = {"w": np.float32(weight), "zero": np.float32(0), "one": np.float32(1), "ballast": ballast}
    nodes = [
        helper.make_node("Mul", ["lq", "w"], ["scaled"]),
        helper.make_node("ReduceMean", ["noise"], ["mean"], keepdims=0),
        helper.make_node("ReduceMean", ["ballast"], ["other"], keepdims=0),
        helper.make_node("Add", ["mean", "other"], ["both"]),
        helper.make_node("Mul", ["both", "zero"], ["nothing"]),
        helper.make_node("Add", ["scaled", "nothing"], ["sum"]),
        helper.make_node("Clip", ["sum", "zero", "one"], ["hq"]),
    ]
    shapes = {"lq": [1, 3, SIDE, SIDE], "noise": [1, 16, SIDE // 8, SIDE // 8], "hq": [1, 3, SIDE, SIDE]}
    ports = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in inits.items()]
    graph = helper.make_graph(nodes, "tiny", [ports["lq"], ports["noise"]], [ports["hq"]], values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[Artifact, Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {
        Artifact("onnx", "fp32"): write_onnx(folder / "fp32.onnx", 0.75),
        Artifact("onnx", "int8"): write_onnx(folder / "int8.onnx", 0.7),
    }


@pytest.fixture(scope="module")
def pictures(artifacts: dict[Artifact, Path]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    lq = rng.integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    result = {
        "lq": lq,
        "noise": rng.standard_normal((2, 16, 4, 4)).astype(np.float32),
        "clean": (lq * 0.75).astype("u1"),
    }
    for artifact, path in artifacts.items():
        runner = open_runner(path, "onnx", 1)
        hq = [runner.run(p.transpose(2, 0, 1)[None].astype(np.float32) / 255, result["noise"][:1])[0] for p in lq]
        result[f"output-{artifact.id}"] = np.stack([(p * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0) for p in hq])
    return result | {"simulated-onnx-int8": result["output-onnx-fp32"][:1]}


@pytest.fixture()
def there(tmp_path: Path) -> Path:
    """The folder that the target uses on the device."""
    return tmp_path / "there"


@pytest.fixture()
def bench(
    sshd: Any, there: Path, tmp_path: Path, artifacts: Any, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> Measure:
    brief = Protocol("quick", min_runs=20, min_s=0.01, max_s=2, warmup_s=0.2)
    monkeypatch.setitem(PROTOCOLS, "quick", brief)
    monkeypatch.setattr(retry, "PAUSE_S", 0.1)

    def run(**changes: Any) -> list[dict[str, Any]]:
        ssh = {"host": sshd.host, "python": sys.executable, "folder": str(there), "lock": str(tmp_path / LOCK)}
        settings = {"version": 1, "name": "there", "runtime": "onnxruntime", "format": "onnx", "reach": "ssh"}
        settings |= {"arch": platform.machine(), "threads": 1, "ssh": ssh | changes.pop("ssh", {}), **changes}
        target = DeployTarget.model_validate(settings)
        return [entry.to_json() for entry in bench_target(Bench(artifacts, target, pictures, "quick", SILENT))]

    return run


def state(there: Path) -> str:
    try:
        return str(json.loads(next(there.glob("*/state.json")).read_text())["state"])
    except (StopIteration, OSError, ValueError):
        return "none"


def when(there: Path, wanted: str, act: Callable[[], Any]) -> threading.Thread:
    """Do ``act`` in a thread as soon as the runner is in that state."""

    def wait() -> None:
        ends = time.monotonic() + 60
        while state(there) != wanted and time.monotonic() < ends:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_measured_with_the_connection_cut_while_copying_and_while_measuring(
    bench: Measure, sshd: Any, there: Path, tmp_path: Path
) -> None:
    sshd.wire.cut_after = 1_000_000
    cut = when(there, "measuring", sshd.wire.cut)
    fp32, int8 = bench(measuring={"cooldown_s": 1, "record": ["governor", "nvpmodel"]})
    cut.join()
    assert sshd.wire.cuts == 2
    assert (fp32["artifact"], fp32["target"], fp32["evidence"], fp32["protocol"]) == (
        *("onnx-fp32", "there", "measured", "quick"),
    )
    assert fp32["latency_ms"]["n"] >= 20 and fp32["latency_ms"]["p50"] > 0 and fp32["load_ms"] > 0
    assert fp32["threads"] == 1 and fp32["machine"]["cpu"] and fp32["runtime"]["onnxruntime"]
    assert fp32["accuracy"] == {"n": 2, "psnr_db": fp32["accuracy"]["psnr_db"], "fidelity_db": None, "parity_db": 100}
    assert int8["accuracy"]["parity_db"] == 100 and 20 < int8["accuracy"]["fidelity_db"] < 40
    assert 20 < int8["accuracy"]["simulated_db"] < 100
    assert int8["speedup_vs"]["fp32"]["low"] <= int8["speedup_vs"]["fp32"]["high"]
    assert int8["device"]["settings"]["nvpmodel"] is None and "clock_mhz" in int8["device"]
    assert not there.exists()
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"runtime_min": "99.1"}, "has onnxruntime .*, 99.1 or newer is needed: upgrade it"),
        ({"model": "Raspberry Pi 5"}, "calls itself .*, not Raspberry Pi 5: correct model or the host"),
        ({"arch": "aarch64" if platform.machine() == "x86_64" else "x86_64"}, "is .*, the target is .*: correct arch"),
        (
            {"runtime": "tensorrt", "precisions": ["fp32"]},
            "tensorrt cannot be imported .*: install numpy and tensorrt",
        ),
        ({"ssh": {"python": "python-of-old"}}, "has no python-of-old: install it"),
        ({"ssh": {"host": "-".join(["no", "such", "host.invalid"])}}, "no-such-host.invalid cannot be reached"),
        ({"memory_mb": 1}, "onnx-fp32 takes .* MB, the target grants 1"),
    ],
)
def test_a_device_that_will_not_do(bench: Measure, there: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(Unavailable, match=text) as error:
        bench(**changes)
    assert str(error.value).startswith("target there: ") and "\n" not in str(error.value)
    assert not there.exists()


def test_a_device_in_use(bench: Measure, there: Path, tmp_path: Path) -> None:
    with (tmp_path / LOCK).open("w") as lock:
        lock.write("anna@desk")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(
            Unavailable, match=r"loopback: is in use \(anna@desk, lock .*\): try again when that is done"
        ):
            bench()
    assert not there.exists()


def test_a_changed_host_key_is_refused(bench: Measure, sshd: Any) -> None:
    other = (sshd.folder / "other.pub").read_text()
    sshd.known.write_text(f"[127.0.0.1]:{sshd.wire.port} {other}")
    with pytest.raises(Unavailable, match="target there: loopback: its host key has changed: make sure"):
        bench()
    sshd.known.write_text("")
    with pytest.raises(Unavailable, match="target there: loopback: its host key is not known here: log in once"):
        bench()


def test_a_runner_that_is_killed(bench: Measure, there: Path, tmp_path: Path) -> None:
    def kill() -> None:
        os.killpg(int(next(there.glob("*/pid")).read_text()), 9)

    thread = when(there, "measuring", kill)
    with pytest.raises(Unavailable, match=r"loopback: the runner ended there \(killed; short of memory\?\): try again"):
        bench(measuring={"cooldown_s": 30})
    thread.join()
    assert not there.exists() and not (tmp_path / LOCK).exists()


def test_a_connection_that_stays_lost_is_taken_up_by_the_same_command(
    bench: Measure, sshd: Any, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        sshd.wire.dead = True
        sshd.wire.cut()

    monkeypatch.setattr(retry, "RECONNECT_S", 0.5)
    when(there, "measuring", die)
    with pytest.raises(Unavailable, match=r"loopback was lost .*/there/[0-9a-f]{16} is still there: run the same"):
        bench(measuring={"cooldown_s": 2})
    started = next(there.glob("*/pid")).read_text()
    sshd.wire.dead = False
    taken = when(there, "done", lambda: seen.append(next(there.glob("*/pid")).read_text()))
    seen: list[str] = []
    taken.join()
    assert len(bench(measuring={"cooldown_s": 2})) == 2
    assert seen == [started]
    assert not there.exists()


def test_a_file_that_changed_on_the_way(bench: Measure, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_benching, "sha256_file", lambda path: "0" * 64)
    with pytest.raises(VerificationError, match=r"inputs\.npz arrived changed: its hash differs") as error:
        bench()
    assert isinstance(error.value, CompressError) and error.value.exit_code == 5
    assert not there.exists()


def test_an_interrupted_command_leaves_nothing(bench: Measure, there: Path, tmp_path: Path) -> None:
    # A shell's background job starts with SIGINT ignored, and what starts there does as well.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    when(there, "measuring", _thread.interrupt_main)
    try:
        with pytest.raises(KeyboardInterrupt):
            bench(measuring={"cooldown_s": 30})
    finally:
        signal.signal(signal.SIGINT, before)
    assert not there.exists() and not (tmp_path / LOCK).exists()
