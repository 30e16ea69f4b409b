"""Draw docs/images/crops.webp: twelve kinds of texture, enlarged x4 by models that are to be compared.

From the repository's root: python docs/make_crops_sheet.py [MODEL ...]

A model is a bundled one or a checkpoint. Prints the LPIPS of every crop: a model that paints hair well may paint brick
badly, which a mean hides.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from compress.data.degradations import degrade
from compress.data.pictures import read_rgb
from compress.measure.lpips import Lpips
from compress.recipe.task import task_degradation
from compress.restore.open import Settings, open_restorer

ROOT = Path(__file__).parent.parent
VALIDATION = ROOT / "calibration/photos/validation"
MODELS = ("elir_sr_x4", "elir_sr_x4_fast")
SIDE, SHOWN, LABEL, GAP, COLUMNS = 96, 192, 20, 6, 2
CROPS = {
    "face": ("astronaut_1", 64, 24),
    "skin": ("astronaut_1", 64, 80),
    "hair": ("dogs_1", 144, 120),
    "bark": ("nuthatch_1", 16, 96),
    "foliage": ("stream_3", 96, 64),
    "grass": ("grass", 80, 80),
    "water": ("stream_1", 96, 112),
    "sky": ("boats_3", 32, 0),
    "lettering": ("astronaut_2", 92, 84),
    "cloth": ("astronaut_2", 0, 60),
    "metal": ("coffee_2", 4, 112),
    "brick": ("brick", 80, 80),
}
"""Of pictures of 256 px, the left upper corner of SIDE x SIDE px."""
TEXTURES: dict[str, Callable[[], np.ndarray]] = {"grass": data.grass, "brick": data.brick}
"""scikit-image's, grey; the other pictures are the bundled ones."""


def main(models: tuple[str, ...]) -> None:
    """Write the sheet: two crops a row, each enlarged by bicubic and by every model, and the truth."""
    columns = len(models) + 2
    width, height = columns * (SHOWN + GAP) + GAP, SHOWN + LABEL + GAP
    rows = -(-len(CROPS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    lpips, restorers = Lpips(), {model: open_restorer(model, Settings(scale=1)) for model in models}
    print("crop", "bicubic", *models, sep="\t")
    for index, (kind, (name, left, top)) in enumerate(CROPS.items()):
        clean = _picture(name)
        small = degrade(clean, task_degradation("sr_x4"), seed=0)
        pictures = {"bicubic": small} | {model: one.restore(small, lambda: None) for model, one in restorers.items()}
        crops = {by: picture[top : top + SIDE, left : left + SIDE] for by, picture in pictures.items()}
        truth = clean[top : top + SIDE, left : left + SIDE]
        print(kind, *(f"{float(lpips(_tensor(crop), _tensor(truth))):.3f}" for crop in crops.values()), sep="\t")
        x, y = GAP + index % COLUMNS * width, GAP + index // COLUMNS * height
        for column, (by, crop) in enumerate({**crops, "truth": truth}.items()):
            shown = Image.fromarray(crop).resize((SHOWN, SHOWN), Image.Resampling.NEAREST)
            sheet.paste(shown, (x + column * (SHOWN + GAP), y + LABEL))
            text = f"{kind}: {Path(by).stem}"
            draw.text((x + column * (SHOWN + GAP), y + 2), text, fill="black", font=ImageFont.load_default(13))
    sheet.save(ROOT / "docs/images/crops.webp", quality=88, method=6)


def _picture(name: str) -> np.ndarray:
    """(256, 256, 3) uint8."""
    if name not in TEXTURES:
        return read_rgb(VALIDATION / f"{name}.png")
    grey = TEXTURES[name]()[:256, :256]
    return np.repeat(grey[..., None], 3, axis=2)


def _tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or MODELS)
