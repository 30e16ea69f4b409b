"""Artifacts on an emulated ARM core -> ``performance`` entries of evidence emulated: instructions, never time."""

from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from compress.artifacts.artifact import Artifact
from compress.measure.machine import FEATURES
from compress.results.machine import Machine
from compress.results.performance import Accuracy, Performance
from compress.targets.entries import GIVEN, Bench

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from compress.artifacts.runtime.base import Runner
    from compress.progress import Stage
    from compress.targets.emulator.qemu import Emulator, EmulatorResult

PICTURES = {"quick": 2, "full": 8}  # of int8 artifacts; a float one takes minutes a picture: one
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

    target, pictures = bench.target, bench.pictures
    assert target.emulator is not None
    tool = ArmEmulator()
    tool.require()
    emulator = Emulator(target.emulator.cpu, target.runtime, target.options, tool)
    ran: dict[Artifact, EmulatorResult] = {}
    with bench.progress.stage(f"emulate {target.name}", len(bench.artifacts), even=False) as stage:
        for artifact, path in bench.artifacts.items():
            n = min(len(pictures["lq"]), PICTURES[bench.mode] if artifact.precision == "int8" else 1)
            stage.note(artifact.id)
            note = partial(_note, stage, artifact.id)
            given = {key: pictures[key][:n] for key in GIVEN if key in pictures}
            ran[artifact] = emulator.run(path, given, note)
            stage.advance()
    here = _References(bench)
    return [_entry(artifact, bench, ran, emulator, _accuracy(artifact, ran[artifact], here)) for artifact in ran]


def _note(stage: "Stage", name: str, text: str) -> None:
    stage.note(f"{name}: {text}")


class _References:
    """Outputs of the same artifacts on this machine, each run once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._runners: dict[Artifact, Runner] = {}
        self._outputs: dict[tuple[Artifact, int], np.ndarray] = {}

    def output(self, artifact: Artifact, i: int) -> "np.ndarray":
        """Of picture ``i``, as the artifact gives it: (3, H, W) float32 or (H, W, 3) uint8."""
        from compress.artifacts.runtime.open import open_runner
        from compress.artifacts.runtime.trial import probe
        from compress.targets.runner.accuracy import picture

        if (artifact, i) not in self._outputs:
            if artifact not in self._runners:
                if artifact.format == "executorch":
                    probe(self.bench.artifacts[artifact])
                self._runners[artifact] = open_runner(self.bench.artifacts[artifact], artifact.format, 1)
            runner = self._runners[artifact]
            given, noise = picture(dict(self.bench.pictures), i).values()
            self._outputs[artifact, i] = (runner.restore if runner.takes_pictures else runner.run)(given, noise)[0]
        return self._outputs[artifact, i]


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


def _accuracy(artifact: Artifact, result: "EmulatorResult", here: _References) -> Accuracy:
    from compress.targets.runner.accuracy import as_picture, psnr_db

    def mean(others: "Sequence[np.ndarray]") -> float | None:
        scores = [psnr_db(a, b) for a, b in zip(own, others, strict=False)]
        return round(fmean(scores), 4) if scores else None

    count, pictures, fp32 = range(len(result.outputs)), here.bench.pictures, here.bench.fp32
    own = [as_picture(output[None]) for output in result.outputs]
    same = [here.output(artifact, i) for i in count]
    float_outputs = [as_picture(here.output(fp32, i)[None]) for i in count] if fp32 and fp32 != artifact else []
    return Accuracy(
        n=len(own),
        psnr_db=mean(list(pictures.get("clean", []))),
        fidelity_db=mean(float_outputs),
        parity_db=mean([as_picture(output[None]) for output in same]),
        simulated_db=mean(list(pictures.get(f"simulated-{artifact.id}", []))),
        max_difference=max(_largest(a, b) for a, b in zip(result.outputs, same, strict=True)),
    )


def _largest(a: "np.ndarray", b: "np.ndarray") -> float:
    """Largest difference of two outputs, of values in [0, 1]."""
    import numpy as np

    peak = 255 if a.dtype == np.uint8 else 1
    return float(np.abs(a.astype(np.float32) - b).max()) / peak
