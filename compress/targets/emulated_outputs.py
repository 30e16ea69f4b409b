"""Outputs of an emulated or simulated device, compared with those of the same artifacts on this machine."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from compress.artifacts.artifact import Artifact
from compress.results.performance import Accuracy
from compress.targets.entries import GIVEN, Bench, Pictures

if TYPE_CHECKING:
    from compress.artifacts.runtime.base import Runner

PICTURES = {"quick": 2, "full": 8}  # of int8 artifacts; a float one takes minutes a picture: one


def given(bench: Bench, artifact: Artifact) -> Pictures:
    """The pictures that an artifact is run on."""
    n = min(len(bench.pictures["lq"]), PICTURES[bench.mode] if artifact.precision == "int8" else 1)
    return {key: bench.pictures[key][:n] for key in GIVEN if key in bench.pictures}


class References:
    """Outputs of the same artifacts on this machine, each run once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._runners: dict[Artifact, Runner] = {}
        self._outputs: dict[tuple[Artifact, int], np.ndarray] = {}

    def output(self, artifact: Artifact, i: int) -> np.ndarray:
        """Output for picture ``i``, as the artifact returns it: (3, H, W) float32 or (H, W, 3) uint8."""
        from compress.artifacts.runtime.open import open_runner
        from compress.artifacts.runtime.trial import probe
        from compress.targets.runner.accuracy import picture

        if (artifact, i) not in self._outputs:
            if artifact not in self._runners:
                if artifact.format == "executorch":
                    probe(self.bench.artifacts[artifact])
                self._runners[artifact] = open_runner(self.bench.artifacts[artifact], artifact.format, 1)
            runner = self._runners[artifact]
            given, noise, *_ = picture(dict(self.bench.pictures), i).values()
            self._outputs[artifact, i] = (runner.restore if runner.takes_pictures else runner.run)(given, noise)[0]
        return self._outputs[artifact, i]

    def accuracy(self, artifact: Artifact, outputs: np.ndarray) -> Accuracy:
        """Accuracy of the device's ``outputs`` for ``given``: (N, 3, H, W) float32 or (N, H, W, 3) uint8."""
        from compress.targets.runner.accuracy import as_picture, psnr_db

        def mean(others: Sequence[np.ndarray]) -> float | None:
            scores = [psnr_db(a, b) for a, b in zip(own, others, strict=False)]
            return round(fmean(scores), 4) if scores else None

        count, pictures, fp32 = range(len(outputs)), self.bench.pictures, self.bench.fp32
        own = [as_picture(output[None]) for output in outputs]
        same = [self.output(artifact, i) for i in count]
        float_outputs = [as_picture(self.output(fp32, i)[None]) for i in count] if fp32 and fp32 != artifact else []
        return Accuracy(
            n=len(own),
            psnr_db=mean(list(pictures.get("clean", []))),
            fidelity_db=mean(float_outputs),
            parity_db=mean([as_picture(output[None]) for output in same]),
            simulated_db=mean(list(pictures.get(f"simulated-{artifact.id}", []))),
            max_difference=max(_largest(a, b) for a, b in zip(outputs, same, strict=True)),
        )


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of two outputs, of values in [0, 1]."""
    peak = 255 if a.dtype == np.uint8 else 1
    return float(np.abs(a.astype(np.float32) - b).max()) / peak
