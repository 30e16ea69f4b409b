"""Inpainting by a model, beside scikit-image's biharmonic fill: nine pixels in ten are lost, the others noisy.

    python benchmarks/inpainting.py elir_inpaint FOLDER_OR_SET ... [--side 256]

Of each picture the centre is taken, `--side` px: the biharmonic fill of a whole photograph takes minutes. Both get the
very same pixels; only the fill is told which are lost. Prints a table in Markdown: means over a set's pictures.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from skimage.restoration import inpaint_biharmonic

from compress.data.degradations import degrade
from compress.data.pictures import find_pictures, read_rgb
from compress.measure.quality import QualityScore, mean_score, score
from compress.recipe.task import task_degradation
from compress.restore.open import Settings, open_restorer

BLOCK = 64
"""The fill solves a system of all lost pixels: of pieces, with what lies around them, it takes seconds."""
MARGIN = 16


def biharmonic(picture: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """The fill of a picture (H, W, 3) uint8, piece by piece."""
    filled = np.empty(picture.shape)
    for top in range(0, picture.shape[0], BLOCK):
        for left in range(0, picture.shape[1], BLOCK):
            y, x = max(0, top - MARGIN), max(0, left - MARGIN)
            around = np.s_[y : top + BLOCK + MARGIN, x : left + BLOCK + MARGIN]
            piece = inpaint_biharmonic(picture[around] / 255.0, lost[around], channel_axis=-1)
            filled[top : top + BLOCK, left : left + BLOCK] = piece[top - y :, left - x :][:BLOCK, :BLOCK]
    return (filled.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    restorer, steps = open_restorer(given.model, Settings(scale=1)), task_degradation("inpaint_published")
    print("| set | n |  | PSNR dB | SSIM | LPIPS |\n|---|---|---|---|---|---|")
    for folder in given.folders:
        scores: dict[str, list[QualityScore]] = {}
        for number, path in enumerate(find_pictures(folder)):
            clean = centre(read_rgb(path), given.side)
            masked = degrade(clean, steps, number)
            # The mask comes first, from the same seed. A pixel that was black before is told to be lost, too.
            lost = (degrade(clean, steps[:1], number) == 0).all(2)
            filled = biharmonic(masked, lost)
            restored = restorer.restore(masked, lambda: None)
            for name, made in (("masked input", masked), ("biharmonic", filled), (given.model, restored)):
                scores.setdefault(name, []).append(score([made], [clean], 0))
            print(f"{folder.name}: {number + 1} pictures", file=sys.stderr)
        for name, each in scores.items():
            mean = mean_score(each)
            figures = f"{mean.psnr_db:.2f} | {mean.ssim:.4f} | {mean.lpips:.4f}"
            print(f"| {folder.name} | {len(each)} | {Path(name).stem} | {figures} |")


def centre(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = (min(side, length) // 32 * 32 for length in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


if __name__ == "__main__":
    main()
