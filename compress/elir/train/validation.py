"""Validation of a model in training: figures beside its input's, and a few pictures to look at."""

from typing import TYPE_CHECKING, Any

from compress.recipe.task import task_border
from compress.recipe.train import TrainRecipe

if TYPE_CHECKING:
    import numpy as np

    from compress.data.crops import TrainingPictures
    from compress.data.sets import PictureSet
    from compress.elir.model import Elir

NOISE_SEED = 1  # of the validation's noise: the same for every validation of every run
SHOWN = 4  # pictures of a grid


class Validation:
    """Quality of a model on the recipe's validation set, beside its input's.

    ``grid``: of the last validation's first pictures, one a row, input, restored and clean; (H, W, 3) uint8.
    """

    grid: "np.ndarray"

    def __init__(self, recipe: TrainRecipe) -> None:
        from compress.data.sets import load_set

        self.task = recipe.model.task
        self.pictures: PictureSet = load_set(recipe.data.validation, recipe.model.task)
        self.pictures.require_truth("training is validated against them")
        self._input: dict[str, float] | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """Hashes of every picture and its crop (``pixels_sha256``), with where it came from."""
        return {value: seen.origin for seen in self.pictures.seen for value in seen.hashes}

    def refuse_training_pictures(self, training: "TrainingPictures") -> None:
        """Raise InputError when a training picture in a folder, or its crop, is one of the validation's."""
        from compress.data.crops import refuse_twins

        refuse_twins(training, self.hashes)

    def __call__(self, model: "Elir") -> dict[str, float]:
        """``psnr_db``, ``lpips``, ``color_shift`` and the same as ``input_*``."""
        items = list(self.pictures)
        outputs = [self._restore(model, item.degraded) for item in items]
        clean = [item.truth for item in items]
        degraded = [item.degraded for item in items]
        if self._input is None:
            self._input = {f"input_{name}": value for name, value in self._score(degraded, clean).items()}
        self.grid = _grid(degraded[:SHOWN], outputs[:SHOWN], clean[:SHOWN])
        return self._score(outputs, clean) | self._input

    def _restore(self, model: "Elir", degraded: Any) -> Any:
        import torch

        from compress.data.pictures import to_float, to_uint8
        from compress.elir.noise import seeded_noise

        device = next(model.parameters()).device
        height, width, _ = degraded.shape
        noise = seeded_noise(height, width, NOISE_SEED)
        with torch.inference_mode():
            output = model(torch.from_numpy(to_float([degraded])).to(device), noise.to(device))
        return to_uint8(output[0].cpu().numpy())

    def _score(self, outputs: list[Any], clean: list[Any]) -> dict[str, float]:
        from compress.measure.quality import score

        result = score(outputs, clean, task_border(self.task))
        return {name: round(getattr(result, name), 4) for name in ("psnr_db", "lpips", "color_shift")}


def _grid(*columns: "list[np.ndarray]") -> "np.ndarray":
    import numpy as np

    return np.concatenate([np.concatenate(column) for column in columns], axis=1)
