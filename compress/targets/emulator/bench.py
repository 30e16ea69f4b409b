"""Artifacts on an emulated ARM core -> ``performance`` entries of evidence emulated: instructions, never time."""

from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

from compress.measure.latency import Mode
from compress.measure.machine import FEATURES
from compress.recipe.schema import DeployTarget
from compress.targets.entries import EMPTY, Artifacts, Pictures, precision_of

if TYPE_CHECKING:
    import numpy as np

    from compress.progress import Progress, Stage
    from compress.targets.emulator.qemu import Emulator, EmulatorResult

PICTURES = {"quick": 2, "full": 8}  # of int8 artifacts; a float one takes minutes a picture: one
KERNELS = {
    "int8_matrix": "int8 matrix products",
    "mixed_dot_product": "dot products",
    "dot_product": "dot products",
    "int_multiply": "integer multiplications without dot products",
}


def bench_emulated(
    artifacts: Artifacts, target: DeployTarget, pictures: Pictures, mode: Mode, progress: "Progress"
) -> list[dict[str, Any]]:
    """Run every artifact on the target's emulated core.

    ``instructions``: of one inference, by class, repeatable to about 0.1 %. ``accuracy``: ``n`` pictures, dB, at most
    100, 8-bit: ``psnr_db`` against the true pictures, ``fidelity_db`` against the fp32 artifact and ``parity_db``
    against the same artifact, both run here, ``simulated_db`` of the first picture against the torch model that
    simulates an int8 artifact; ``max_difference`` from the same artifact here, of values in [0, 1].
    Raises Unavailable when the emulator is not set up, CompressError when a program fails under it.
    """
    from compress.targets.emulator.qemu import Emulator
    from compress.targets.tools.arm_emulator import ArmEmulator

    assert target.emulator is not None
    tool = ArmEmulator()
    tool.require()
    emulator = Emulator(target.emulator.cpu, target.runtime, target.options, tool)
    ran: dict[str, EmulatorResult] = {}
    with progress.stage(f"emulate {target.name}", len(artifacts)) as stage:
        for name, (path, _) in artifacts.items():
            n = _count(name, mode, pictures)
            stage.note(name)
            ran[name] = emulator.run(path, pictures["lq"][:n], pictures["noise"][:n], partial(_note, stage, name))
            stage.advance()
    here = _References(artifacts, pictures)
    return [_entry(name, target, mode, ran, emulator, here, pictures) for name in artifacts]


def _note(stage: "Stage", name: str, text: str) -> None:
    stage.note(f"{name}: {text}")


def _count(name: str, mode: Mode, pictures: Pictures) -> int:
    return min(len(pictures["lq"]), PICTURES[mode] if precision_of(name) == "int8" else 1)


class _References:
    """Outputs of the same artifacts on this machine, each run once."""

    def __init__(self, artifacts: Artifacts, pictures: Pictures) -> None:
        self.artifacts, self.pictures = artifacts, pictures
        self._runners: dict[str, Any] = {}
        self._outputs: dict[tuple[str, int], np.ndarray] = {}

    def output(self, name: str, i: int) -> "np.ndarray":
        """(3, H, W) float32 of picture ``i``."""
        from compress.artifacts.runtime.open import open_runner
        from compress.targets.runner.accuracy import picture

        if (name, i) not in self._outputs:
            if name not in self._runners:
                path, format = self.artifacts[name]
                self._runners[name] = open_runner(path, format, 1)  # type: ignore[arg-type]
            inputs = picture(dict(self.pictures), i)
            self._outputs[name, i] = self._runners[name].run(inputs["lq"], inputs["noise"])[0]
        return self._outputs[name, i]


def _entry(
    name: str,
    target: DeployTarget,
    mode: Mode,
    ran: "dict[str, EmulatorResult]",
    emulator: "Emulator",
    here: _References,
    pictures: Pictures,
) -> dict[str, Any]:
    from compress.targets.tools.arm_emulator import CORES

    found, fp32 = ran[name], next((key for key in ran if precision_of(key) == "fp32"), None)
    features = CORES[emulator.cpu][0].split()
    return {
        "artifact": name,
        "target": target.name,
        "evidence": "emulated",
        **EMPTY,
        "instructions": found.instructions,
        "instructions_vs_fp32": _ratio(ran[fp32], found) if fp32 and fp32 != name else None,
        "int8_kernels": _kernels(found) if precision_of(name) == "int8" else None,
        "threads": 1,
        "protocol": mode,
        "runtime": {target.runtime: emulator.tool.versions()[target.runtime], **found.facts},
        "machine": {
            "cpu": f"{emulator.cpu}, emulated by QEMU",
            "model": emulator.cpu,
            "features": [feature for feature in FEATURES if feature in features],
        },
        "accuracy": _accuracy(name, fp32, found, here, pictures),
    }


def _ratio(fp32: "EmulatorResult", int8: "EmulatorResult") -> float:
    return round(fp32.instructions["total"] / int8.instructions["total"], 3)


def _kernels(found: "EmulatorResult") -> str | None:
    """By the class that most of the integer products belong to."""
    most = max(KERNELS, key=lambda key: found.instructions[key])
    return KERNELS[most] if found.instructions[most] else None


def _accuracy(
    name: str, fp32: str | None, found: "EmulatorResult", here: _References, pictures: Pictures
) -> dict[str, float | int | None]:
    import numpy as np

    from compress.targets.runner.accuracy import psnr_db

    def bytes_(hq: "np.ndarray") -> "np.ndarray":
        return (hq.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)

    count = range(len(found.outputs))
    own = [bytes_(hq) for hq in found.outputs]
    same = [here.output(name, i) for i in count]
    others = {
        "psnr_db": list(pictures.get("clean", [])),
        "fidelity_db": [bytes_(here.output(fp32, i)) for i in count] if fp32 and fp32 != name else [],
        "parity_db": [bytes_(hq) for hq in same],
        "simulated_db": list(pictures.get(f"simulated-{name}", [])),
    }
    means = {
        key: round(fmean(psnr_db(a, b) for a, b in zip(own, other, strict=False)), 4) if other else None
        for key, other in others.items()
    }
    worst = max(float(np.abs(a - b).max()) for a, b in zip(found.outputs, same, strict=True))
    return {"n": len(own), **means, "max_difference": worst}
