"""Quality of a torch model beside the float one, on validation pictures."""

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from statistics import fmean
from typing import TYPE_CHECKING

from compress.pipeline.models import Models
from compress.recipe.task import task_border

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from compress.measure.quality import QualityScore


@dataclass(frozen=True)
class TorchQuality:
    """Means over ``n`` pictures, of 8-bit outputs: ``psnr_db``, what was lost against the float model, and
    ``fidelity_db``, PSNR against its outputs.
    """

    n: int
    psnr_db: float
    psnr_drop_db: float
    ssim_drop: float
    lpips_rise: float
    fidelity_db: float


class Judge:
    """Compares with the recipe's reference on the first ``most`` pictures of the first validation set."""

    def __init__(self, models: Models, most: int) -> None:
        models.context.inputs.validation[0].require_truth("a search judges against them")
        self.models, self.most = models, most
        self.border = task_border(models.context.recipe.model.task)

    def quality(self, model: "nn.Module") -> TorchQuality:
        """Quality of a model that takes (lq, noise)."""
        from compress.measure.quality import mean_score, psnr_db

        outputs = self._restored(model)
        score, reference = mean_score(self._scores(outputs)), mean_score(self._scores(self._floats))
        return TorchQuality(
            n=score.n,
            psnr_db=round(score.psnr_db, 5),
            psnr_drop_db=round(reference.psnr_db - score.psnr_db, 5),
            ssim_drop=round(reference.ssim - score.ssim, 5),
            lpips_rise=round(score.lpips - reference.lpips, 5),
            fidelity_db=round(fmean(psnr_db(a, b) for a, b in zip(outputs, self._floats, strict=True)), 5),
        )

    @cached_property
    def _floats(self) -> "list[np.ndarray]":
        return self._restored(self.models.reference)

    @cached_property
    def _cleans(self) -> "list[np.ndarray]":
        return [item.truth for item in islice(self.models.context.inputs.validation[0], self.most)]

    def _scores(self, outputs: "list[np.ndarray]") -> "list[QualityScore]":
        from compress.measure.quality import score

        return [score([output], [clean], self.border) for output, clean in zip(outputs, self._cleans, strict=True)]

    def _restored(self, model: "nn.Module") -> "list[np.ndarray]":
        import torch

        from compress.data.pictures import to_uint8

        with torch.inference_mode():
            pairs = self.models.pairs(self.models.context.inputs.validation[0], self.most)
            return [to_uint8(model(lq, noise).clamp(0, 1).numpy()[0]) for lq, noise in pairs]
