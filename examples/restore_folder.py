"""Restore pictures of any size from Python, with a built-in model, a checkpoint, an artifact or a bundle.

python examples/restore_folder.py elir_sr_x4 small_pictures large_pictures
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import compress


def main(source: str, folder: str, out: str) -> None:
    model = compress.open(source, seed=0)
    Path(out).mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(folder).glob("*.png")):
        picture = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))  # (H, W, 3) uint8
        restored = model.restore(picture)
        Image.fromarray(restored).save(Path(out) / path.name)
        print(f"{path} -> {Path(out) / path.name}, {restored.shape[1]} x {restored.shape[0]} px")


if __name__ == "__main__":
    main(*sys.argv[1:])
