"""This machine as an older CPU: AVX2, without VNNI, where 8-bit kernels add pairs of products in 16 bits and saturate.

The tests marked ``numerics`` are read a second time so, from the repository's root:

    if older=$(python -m tests.reliability.older_cpu); then env $older python -m pytest -m numerics; fi

It prints the environment of that reading, on one line; where the machine is such a CPU already, or another
architecture, it says so on stderr and exits with 3: there is nothing to read twice.

torch and oneDNN, and OpenVINO with it, ask the environment. ONNX Runtime asks the CPU alone: ``OnnxRuntime`` runs it
under valgrind, which presents a CPU with AVX2 and nothing newer. XNNPACK asks the CPU too, but multiplies 8 bits
exactly on every one. ``tests/test_older_cpu.py`` fails where any of these did not take effect.
"""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HELD = "COMPRESS_TESTS_CPU"
ENVIRONMENT = {
    HELD: "avx2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
NEWER = {"avx512f", "avx_vnni", "amx_int8"}
EXACT = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""Flags of CPUs whose 8-bit kernels add products in 32 bits."""
WORKER = Path(__file__).with_name("onnx_worker.py")


def held() -> bool:
    """Whether this process is part of the second reading."""
    return os.environ.get(HELD) == ENVIRONMENT[HELD]


def flags() -> set[str]:
    """The CPU's flags as Linux lists them; none on another system or architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))


def saturates() -> bool:
    """Whether 8-bit convolutions on x86 saturate in this process: for want of VNNI, or because they are held down."""
    faults = flags()
    return "avx2" in faults and (held() or not faults & EXACT)


class OnnxRuntime:
    """ONNX Runtime in a process of its own, which valgrind gives a CPU with AVX2 only: ``run(model, feeds)``."""

    def __init__(self) -> None:
        valgrind = shutil.which("valgrind")
        if valgrind is None:
            raise FileNotFoundError("valgrind not found: apt-get install valgrind")
        # The current folder is not in front of the worker's modules: it imports numpy and onnxruntime only.
        command = [valgrind, "--tool=none", "-q", sys.executable, "-P", str(WORKER)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, model: bytes, feeds: dict[str, Any]) -> list[Any]:
        """Every output of a serialized model."""
        assert self.process.stdin is not None and self.process.stdout is not None
        pickle.dump((model, feeds), self.process.stdin)
        self.process.stdin.flush()
        outputs: list[Any] = pickle.load(self.process.stdout)
        return outputs

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def main() -> None:
    """Print the environment, or say why there is none."""
    if not flags() & NEWER:
        print("older_cpu: this CPU has nothing newer than AVX2: a second reading would be the same", file=sys.stderr)
        raise SystemExit(3)  # Python itself ends with 1 where this cannot be imported
    print(*(f"{name}={value}" for name, value in ENVIRONMENT.items()))


if __name__ == "__main__":
    main()
