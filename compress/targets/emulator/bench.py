"""Artifacts on an emulated ARM core -> ``performance`` entries of evidence emulated: instructions, never time."""

from functools import partial
from typing import TYPE_CHECKING

from compress.artifacts.artifact import Artifact
from compress.measure.machine import FEATURES
from compress.results.machine import Machine
from compress.results.performance import Accuracy, Performance
from compress.targets.emulated_outputs import References, given
from compress.targets.entries import Bench

if TYPE_CHECKING:
    from compress.progress import Stage
    from compress.targets.emulator.qemu import Emulator, EmulatorResult

KERNELS = {
    "int8_matrix": "int8 matrix products",
    "mixed_dot_product": "dot products",
    "dot_product": "dot products",
    "int_multiply": "integer multiplications without dot products",
}


def bench_emulated(bench: Bench) -> list[Performance]:
    """Run every artifact on the target's emulated core.

    ``instructions``: of one inference, by class, repeatable to about 0.1 %. ``accuracy``: ``n`` pictures, dB, at most
    100, 8-bit: ``psnr_db`` against the true pictures, ``fidelity_db`` against the fp32 artifact and ``parity_db``
    against the same artifact, both run here, ``simulated_db`` of the first picture against the torch model that
    simulates an int8 artifact; ``max_difference`` from the same artifact here, of values in [0, 1].
    Raises Unavailable when the emulator is not set up, VerificationError when an artifact fails under it.
    """
    from compress.targets.emulator.qemu import Emulator
    from compress.targets.tools.arm_emulator import ArmEmulator

    target = bench.target
    assert target.emulator is not None
    tool = ArmEmulator()
    tool.require()
    emulator = Emulator(target.emulator.cpu, target.runtime, target.options, tool)
    ran = bench.each(
        "emulate",
        lambda artifact, path, stage: emulator.run(path, given(bench, artifact), partial(_note, stage, artifact.id)),
    )
    here = References(bench)
    return [_entry(artifact, bench, ran, emulator, here.accuracy(artifact, ran[artifact].outputs)) for artifact in ran]


def _note(stage: "Stage", name: str, text: str) -> None:
    stage.note(f"{name}: {text}")


def _entry(
    artifact: Artifact, bench: Bench, ran: "dict[Artifact, EmulatorResult]", emulator: "Emulator", accuracy: Accuracy
) -> Performance:
    from compress.targets.tools.arm_emulator import CORES

    result, fp32 = ran[artifact], bench.fp32
    features = CORES[emulator.cpu][0].split()
    return bench.entry(
        artifact,
        "emulated",
        instructions=result.instructions,
        instructions_vs_fp32=_ratio(ran[fp32], result) if fp32 and fp32 != artifact else None,
        int8_kernels=_kernels(result) if artifact.precision == "int8" else None,
        threads=1,
        protocol=bench.mode,
        runtime={bench.target.runtime: emulator.tool.versions()[bench.target.runtime], **result.facts},
        machine=Machine(
            cpu=f"{emulator.cpu}, emulated by QEMU",
            model=emulator.cpu,
            features=[feature for feature in FEATURES if feature in features],
        ),
        accuracy=accuracy,
    )


def _ratio(fp32: "EmulatorResult", int8: "EmulatorResult") -> float:
    return round(fp32.instructions["total"] / int8.instructions["total"], 3)


def _kernels(result: "EmulatorResult") -> str | None:
    """The kernels, by the class that most of the integer products belong to."""
    most = max(KERNELS, key=lambda key: result.instructions[key])
    return KERNELS[most] if result.instructions[most] else None
