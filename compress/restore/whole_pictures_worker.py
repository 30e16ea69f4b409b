"""One artifact that restores pictures in a process of its own, whose peak memory is therefore the artifact's.

``python -m compress.restore.whole_pictures_worker SOURCE HEIGHT WIDTH FRAMES`` loads SOURCE, warms up, and then, for
each line on stdin, restores FRAMES pictures of HEIGHT x WIDTH px and answers by a line of JSON: ``seconds``, the
``sha256`` of all that was made, and ``peak_rss_mb``. An empty answer says that it is ready; an error is the last one.
"""

import hashlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

import numpy as np
from PIL import Image

from compress.errors import CompressError, Unavailable
from compress.restore.open import STREAMS_FROM, Restorer, Settings, open_restorer
from compress.targets.runner.child import peak_rss_mb

if TYPE_CHECKING:
    from collections.abc import Iterator

GRAIN = 16  # px between the colours of a picture


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """(H, W, 3) uint8: soft spots of colour. How long restoring takes does not depend on what a picture shows."""
    rows, columns = (2 + side // GRAIN for side in (height, width))
    spots = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), np.uint8)
    return np.asarray(Image.fromarray(spots).resize((width, height), Image.Resampling.BICUBIC))


def restore_all(restorer: Restorer, pictures: "Iterator[np.ndarray]") -> dict[str, object]:
    """``seconds`` that restoring takes, bytes to bytes, and ``sha256`` of what is made."""
    seconds, made = 0.0, hashlib.sha256()
    for given in pictures:
        began = time.perf_counter()
        restored = restorer.restore(given, lambda: None)
        seconds += time.perf_counter() - began
        made.update(restored.tobytes())
    return {"seconds": seconds, "sha256": made.hexdigest()}


def warm_up(restorer: Restorer, height: int, width: int) -> None:
    """Restore the upper part of a picture, with as few tiles as load the artifact in the form that the whole needs."""
    least = min(STREAMS_FROM, restorer.tiles(height, width))
    rows = next(rows for rows in range(1, height + 1) if restorer.tiles(rows, width) >= least)
    restore_all(restorer, iter([picture(rows, width, 0)]))


def answer(source: str, height: int, width: int, frames: int, answers: TextIO) -> None:
    """Load, then one answer a line of stdin."""
    restorer = open_restorer(source, Settings())
    warm_up(restorer, height, width)
    print("{}", file=answers, flush=True)
    for _ in sys.stdin:
        done = restore_all(restorer, (picture(height, width, seed) for seed in range(frames)))
        print(json.dumps({**done, "peak_rss_mb": peak_rss_mb("self")}), file=answers, flush=True)


def main() -> None:
    """See above."""
    source, *numbers = sys.argv[1:]
    height, width, frames = map(int, numbers)
    # Runtimes print to stdout, from C too: keep the real one for the answers.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        try:
            answer(source, height, width, frames, answers)
        except CompressError as error:
            print(json.dumps({"error": str(error), "exit_code": error.exit_code}), file=answers, flush=True)
        except MemoryError:
            told = f"{width} x {height} px do not fit in memory: measure a smaller picture (--megapixels)"
            print(json.dumps({"error": told, "exit_code": Unavailable.exit_code}), file=answers, flush=True)


if __name__ == "__main__":
    main()
