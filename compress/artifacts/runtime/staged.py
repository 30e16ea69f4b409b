"""An artifact of three graphs, as one: a tile by all of them, or a picture of any size by each in turn."""

from collections.abc import Mapping

import numpy as np

from compress.artifacts.runtime.base import Runner, Shape
from compress.artifacts.stages import Stage
from compress.elir.latent import LATENT_STRIDE, noise_shape
from compress.errors import InputError, VerificationError


class StagedRunner(Runner):
    """``stages``: each graph's runner, by its name. Errors of ``encode``, ``flow`` and ``decode`` are as ``run``'s."""

    def __init__(self, stages: Mapping[Stage, Runner]) -> None:
        self._stages = stages
        lq, latent = stages["encode"].shapes["lq"], stages["decode"].shapes["restored_latent"]
        if stages["decode"].output != lq or latent != noise_shape(*lq[2:]):
            raise VerificationError(
                f"the artifact's graphs do not belong together: encode takes {lq}, decode {latent}: export it again"
            )
        self.shapes, self.output = {"lq": lq, "noise": latent}, lq
        self.facts, self.about = stages["encode"].facts, stages["encode"].about

    def _execute(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        latent = self.flow(self.encode(inputs["lq"]), inputs["noise"])
        return self.decode(latent, inputs["lq"])

    def encode(self, lq: np.ndarray) -> np.ndarray:
        """Tile (1, 3, H, W) in [0, 1] -> latent (1, 16, H/8, W/8)."""
        return self._made("encode", {"lq": lq}, self.shapes["noise"])

    def flow(self, latent: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Latent and noise of a whole picture, (1, 16, h, w) with h and w multiples of 4 -> the latent to decode."""
        most = max(self._stages["flow"].shapes["latent"][2:])
        if 0 < most < max(latent.shape[2:]):
            height, width = (LATENT_STRIDE * side for side in latent.shape[2:])
            raise InputError(
                f"the restored picture, {width} x {height} px, is larger than {LATENT_STRIDE * most} px a side, "
                "which the artifact takes: cut it, or take one of OpenVINO or ONNX"
            )
        return self._made("flow", {"latent": latent, "noise": noise}, latent.shape)

    def decode(self, latent: np.ndarray, lq: np.ndarray) -> np.ndarray:
        """Latent (1, 16, H/8, W/8) and the tile that was encoded -> hq (1, 3, H, W)."""
        return self._made("decode", {"restored_latent": latent, "lq": lq}, self.output)

    def _made(self, stage: Stage, inputs: dict[str, np.ndarray], output: Shape) -> np.ndarray:
        runner = self._stages[stage]
        return runner.compute({name: np.ascontiguousarray(inputs[name], np.float32) for name in runner.shapes}, output)
