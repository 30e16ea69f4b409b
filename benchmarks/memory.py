"""Peak memory of calibration by the number of pictures: ``python benchmarks/memory.py FOLDER`` (32, 256, 1024 of them).

The first N pictures below FOLDER, again from the start where it holds fewer, each with noise of its own, go through
``collapse``, ``fold_time``, ``equalize``, ``ptq`` and the export to OpenVINO, in a process a number. Small crops: what
must not grow is what is kept of each picture, and what each takes meanwhile is told by ``compress profile``.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

SIZE = 32  # px
COUNTS = (32, 256, 1024)


def run(folder: Path, count: int) -> None:
    """Quantize on ``count`` pictures; print seconds and the process's peak memory."""
    import resource

    import numpy as np
    import torch

    from compress.artifacts.export.to_onnx import to_onnx
    from compress.artifacts.export.to_openvino import to_openvino
    from compress.data.pictures import open_rgb
    from compress.elir.checkpoint import load_checkpoint
    from compress.elir.noise import picture_inputs
    from compress.passes import load_pass
    from compress.passes.base import Subject
    from compress.recipe.library import find
    from compress.recipe.pass_item import PassItem

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"))

    def pairs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for i, path in enumerate(islice(cycle(paths), count)):
            crop = np.asarray(open_rgb(path).resize((SIZE, SIZE)))
            lq, noise = picture_inputs(crop, 0, i)
            yield torch.from_numpy(lq), torch.from_numpy(noise)

    start = time.monotonic()
    subject = Subject(
        load_checkpoint(find("weights", "elir_sr_x4"), None, None), pairs, count, (SIZE, SIZE), ("openvino",)
    )
    for name in ("collapse", "fold_time", "equalize", "ptq"):
        load_pass(PassItem.model_validate({name: {}})).run(subject)
    to_openvino(to_onnx(subject.quantized.modules["openvino"], (SIZE, SIZE)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"pictures": count, "seconds": round(time.monotonic() - start, 1), "peak_mb": round(peak)}))


def main() -> None:
    """One process a number; a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.count:
        run(given.folder, given.count)
        return
    print("| calibration pictures | peak MB | s |\n|---|---|---|")
    for count in COUNTS:
        command = [sys.executable, __file__, str(given.folder), "--count", str(count)]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        print(f"| {count} | {made['peak_mb']} | {made['seconds']} |", flush=True)


if __name__ == "__main__":
    main()
