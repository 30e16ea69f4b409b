"""The runner by itself: old Python, what it samples and refuses; its protocol is the one of this machine."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compress.measure import latency
from compress.measure.quality import psnr_db
from compress.targets import device_runner as runner

SOURCE = Path(runner.__file__).read_text()


def test_it_is_python_3_8_and_stands_alone() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 8))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {name.split(".")[0] for name in names} - sys.stdlib_module_names
    assert own == {"numpy", "onnxruntime", "openvino", "torch", "executorch", "tensorrt"}
    newer = ("removeprefix", "removesuffix", "list[", "dict[", "tuple[", "zip(strict", "functools.cache")
    assert not [word for word in newer if word in SOURCE]


def test_its_protocol_is_the_one_of_this_machine() -> None:
    assert (runner.BLOCK, runner.STEADY, runner.WINDOW) == (latency.BLOCK, latency.STEADY, latency.WINDOW)
    a, b = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    assert runner.psnr_db(a, b) == pytest.approx(psnr_db(a, b)) and runner.psnr_db(a, a) == psnr_db(a, a) == 100


def test_interleaved_until_the_protocol_is_satisfied() -> None:
    protocol = {"min_runs": 12, "min_s": 0, "max_s": 5, "warmup_s": 0.01}
    found = runner.interleaved({"a": lambda: sum(range(1000)), "b": lambda: sum(range(9000))}, protocol, 0)
    assert [len(item["samples"]) for item in found.values()] == [15, 15]
    assert np.median(found["b"]["samples"]) > np.median(found["a"]["samples"])


@pytest.mark.parametrize("second", [5, 4])
def test_a_clock_that_goes_backwards(second: int) -> None:
    ticks = iter([5, second])
    with pytest.raises(runner.Failed, match="the clock there stood still or went backwards: nothing that it timed"):
        runner.timed(lambda: None, lambda: next(ticks))


def put(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text + "\n")


def test_clock_heat_and_power_from_sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SYS", str(tmp_path))
    monkeypatch.setattr(runner.shutil, "which", lambda name: None)
    assert runner.Sampler().stop() == {"clock_mhz": None, "temperature_c": None, "power_w": None}
    put(tmp_path, "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000")
    put(tmp_path, "devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "2400000")
    put(tmp_path, "class/hwmon/hwmon0/temp1_input", "48312")
    put(tmp_path, "class/hwmon/hwmon0/power1_input", "3250000")
    sampler = runner.Sampler()
    sampler.take()
    put(tmp_path, "devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "1000000")
    sampler.take()
    found = sampler.stop()
    assert found["clock_mhz"] == {"min": 1500, "median": 1950, "max": 2400, "n": 2, "source": "cpufreq"}
    assert found["temperature_c"]["max"] == 48.31
    assert (found["power_w"]["median"], found["power_w"]["source"]) == (3.25, "hwmon, all sensors")


def test_power_from_rapl_counters_that_wrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 12.0, 14.0])
    monkeypatch.setattr(runner, "SYS", str(tmp_path))
    monkeypatch.setattr(runner.shutil, "which", lambda name: None)
    monkeypatch.setattr(runner.time, "monotonic", lambda: next(now))
    sampler = runner.Sampler()
    for joules in (100, 130, 1):
        put(tmp_path, "class/powercap/intel-rapl:0/energy_uj", str(joules * 1_000_000))
        put(tmp_path, "class/powercap/intel-rapl:0:0/energy_uj", "999000000")
        sampler.take()
    assert sampler.stop()["power_w"] == {"min": 15, "median": 15, "max": 15, "n": 1, "source": "RAPL, all packages"}


def test_power_from_tegrastats() -> None:
    sampler = runner.Sampler()
    sampler.tegra_line(
        "RAM 2448/7620MB CPU [5%@1510,3%@1510] cpu@48.5C tj@50.2C VDD_IN 4940mW/4900mW VDD_SOC 1200mW/1190mW"
    )
    sampler.tegra_line("CPU@30C VDD_GPU_SOC 2000mW/2000mW VDD_CPU_CV 1000mW/1000mW")
    found = sampler.stop()
    assert (found["power_w"]["min"], found["power_w"]["max"]) == (3.0, 4.94)
    assert (found["temperature_c"]["min"], found["temperature_c"]["max"]) == (30.0, 50.2)


def test_a_disk_too_small_and_a_name_outside_the_job(tmp_path: Path) -> None:
    import platform

    inputs = {"name": "inputs.npz", "bytes": 10**18, "sha256": ""}
    job = {"artifacts": {}, "inputs": inputs, "arch": platform.machine(), "model": None, "runtime": "onnxruntime"}
    with pytest.raises(runner.Failed, match=r"its disk has \d+ MB free, \d+ are needed: free some"):
        runner.check_device(str(tmp_path), job)
    (tmp_path / "job.json").write_text(json.dumps(job))
    command = [sys.executable, runner.__file__, "put", str(tmp_path), "../escaped", "0"]
    done = subprocess.run(command, input=b"x", capture_output=True, check=True)
    assert json.loads(done.stdout) == {"error": {"message": "../escaped is no file of this job", "exit_code": 4}}
    assert not (tmp_path.parent / "escaped").exists()


def test_versions_are_compared_by_number() -> None:
    assert runner.numbers("1.18.0rc1") == (1, 18, 0) and runner.numbers("2026.1.0-123-abc") == (2026, 1, 0)
    assert runner.numbers("1.9") < runner.numbers("1.18")
