"""What ``compress.open`` gives: a model, an artifact or a bundle as one Python object."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.caller import path_text, place_errors, texts
from compress.errors import InputError
from compress.progress import Progress
from compress.recipe.library import is_path
from compress.recipe.task import Task
from compress.restore.open import Restorer, Settings, located, open_restorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from compress.pipeline.bench_targets import Benches
    from compress.restore.evaluate import Evaluation


@dataclass(frozen=True)
class Source:
    """A bundled model, a checkpoint, an artifact or a bundle, opened by ``compress.open``."""

    name: str
    """Name or path that it was opened by."""
    settings: Settings
    restorer: Restorer

    def __repr__(self) -> str:
        what = self.task or "task not recorded"
        scale = f", enlarges {self.scale} times" if self.scale > 1 else ""
        return f"<Source {self.name}: {what}{scale}>"

    @property
    def task(self) -> Task | None:
        """Task that it is for, for example ``sr_x4``; None if it records none."""
        return self.restorer.task

    @property
    def scale(self) -> int:
        """Factor by which the restored picture is wider and higher."""
        return self.restorer.scale

    @place_errors()
    def restore(self, picture: "ArrayLike") -> "np.ndarray":
        """Restore one picture of any size, tile by tile, as ``compress restore`` does.

        ``picture``: (H, W, 3) RGB, either uint8 or floating point in [0, 1], which is rounded to 8 bits first. Returns
        (scale H, scale W, 3) RGB: uint8 for uint8, float32 in [0, 1] in steps of 1/255 for floating point.

        Raises InputError for any other array.

        >>> import compress
        >>> import numpy as np
        >>> model = compress.open("elir_sr_x4_fast")
        >>> model
        <Source elir_sr_x4_fast: sr_x4, enlarges 4 times>
        >>> small = np.zeros((16, 24, 3), np.uint8)
        >>> large = model.restore(small)
        >>> large.shape, large.dtype
        ((64, 96, 3), dtype('uint8'))
        >>> model.restore(small.astype(np.float32) / 255).dtype
        dtype('float32')
        """
        import numpy as np

        from compress.data.array import as_array, as_rgb8

        given = as_array(picture)
        restored = self.restorer.restore(as_rgb8(given), lambda: None)
        return restored if given.dtype == np.uint8 else restored.astype(np.float32) / 255

    @place_errors()
    def evaluate(
        self, *data: str | Path, metrics: Iterable[str] = (), progress: Progress | None = None
    ) -> "Evaluation":
        """Measure the quality of its pictures and of its input on sets, as ``compress evaluate`` does.

        ``data``: names of built-in sets, set files, or folders of clean pictures, which its task degrades.
        ``metrics``: measures of pyiqa to add to our own (needs the extra ``iqa``). The result's
        ``failed`` holds the pictures that could not be measured.

        Raises InputError if there is nothing to measure, or no task is known.

        >>> import compress
        >>> model = compress.open("elir_sr_x4_fast")
        >>> result = model.evaluate("./validation_pictures")
        >>> scores = result.results[0].scores
        >>> scores["model"].n, scores["model"].psnr_db > 0, scores["input"].lpips > 0
        (2, True, True)
        """
        from compress.restore.evaluate import evaluate
        from compress.restore.figures import JudgeOptions

        if not data:
            raise InputError("no pictures to measure on: give a set or a folder, evaluate('photos_validation')")
        options = JudgeOptions(self.settings, tuple(texts("metrics", metrics)))
        return evaluate(self.name, list(map(_written, data)), options, progress or Progress())

    @place_errors()
    def bench(self, *targets: str | Path, host: str | None = None, progress: Progress | None = None) -> "Benches":
        """Measure a bundle's artifacts, or one artifact of a bundle, on deploy targets, as ``compress bench`` does.

        ``targets``: built-in names or YAML files; without any, those of the bundle's recipe that run what is measured.
        ``host``: device to reach over ssh instead. What was measured is in the result's ``performance``, latencies in
        ms, and is added to the ledger.

        Raises InputError if it is not in a bundle.

        >>> import compress
        >>> result = compress.open("runs/int8_sr/int8/onnx/model.onnx").bench("x86-onnxruntime")
        >>> entry = result.performance[0]
        >>> entry.artifact, entry.latency_ms.p50 > 0
        ('onnx-int8', True)
        """
        from compress.pipeline.bench_targets import bench_targets

        bundle, only = located(self.name)
        return bench_targets(bundle, list(map(_written, targets)), progress or Progress(), host, only=only)


def _written(given: str | Path) -> str:
    """A name or a path as the command line takes it: a ``Path`` is a path, whatever it looks like."""
    text = path_text(given)
    return text if isinstance(given, str) or is_path(text) else f"./{text}"


def open_source(source: str | Path, settings: Settings) -> Source:
    """See ``compress.open``."""
    name = _written(source)
    return Source(name, settings, open_restorer(name, settings))
