"""Draw docs/images/degradations.webp: one crop of a bundled photograph under each degradation.

From the repository's root: python docs/make_degradations_sheet.py
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from compress.data.degradations import degrade
from compress.data.pictures import read_rgb
from compress.recipe.degradation import (
    BlindFace,
    BlindSuperResolution,
    Blur,
    Degradation,
    GaussianNoise,
    Grey,
    Jpeg,
    Mask,
    MotionBlur,
    SuperResolution,
)
from compress.recipe.task import task_degradation

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "calibration/photos/validation/astronaut_1.png"
SIDE, LABEL, GAP, COLUMNS = 192, 20, 6, 5
SHOWN: dict[str, list[Degradation]] = {
    "clean": [],
    "sr, scale 4": [SuperResolution(scale=4)],
    "sr, scale 8": [SuperResolution(scale=8)],
    "sr 8, noise 12.8, nearest": [SuperResolution(scale=8, noise=12.8, enlargement="nearest-exact")],
    "noise, sigma 25": [GaussianNoise(sigma=25)],
    "noise, sigma [15, 50]": [GaussianNoise(sigma=[15, 50])],
    "grey": [Grey()],
    "blur, sigma 2": [Blur(sigma=2)],
    "motion, path camera": [MotionBlur()],
    "motion, path line": [MotionBlur(path="line", size=21)],
    "jpeg, quality 20": [Jpeg(quality=20)],
    "mask, pixels 0.9": [Mask()],
    "mask, boxes 0.25": [Mask(pattern="boxes")],
    "mask, strokes 0.25": [Mask(pattern="strokes")],
    "mask, square 0.25": [Mask(pattern="square")],
    "blind_sr, scale 4": [BlindSuperResolution(scale=4)],
    "blind_sr, scale 2": [BlindSuperResolution(scale=2)],
    "blind_sr 4, second_order 0": [BlindSuperResolution(scale=4, second_order=0)],
    "blind_face": [BlindFace()],
    "blind_face_published": task_degradation("blind_face_published"),
}


def main() -> None:
    """Write the sheet."""
    clean = read_rgb(PHOTO)[:SIDE, 32 : 32 + SIDE]
    rows = -(-len(SHOWN) // COLUMNS)
    size = COLUMNS * (SIDE + GAP) + GAP, rows * (SIDE + LABEL + GAP) + GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for i, (label, steps) in enumerate(SHOWN.items()):
        left, top = GAP + i % COLUMNS * (SIDE + GAP), GAP + i // COLUMNS * (SIDE + LABEL + GAP)
        sheet.paste(Image.fromarray(degrade(clean, steps, seed=i)), (left, top + LABEL))
        draw.text((left, top + 2), label, fill="black", font=ImageFont.load_default(13))
    sheet.save(ROOT / "docs/images/degradations.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
