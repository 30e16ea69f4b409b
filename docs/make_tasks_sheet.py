"""Draw docs/images/tasks.webp: two bundled photographs under each bundled model's task: input, restored, clean.

From the repository's root: python docs/make_tasks_sheet.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from compress.data.sets import load_set
from compress.recipe.task import Task, task_input
from compress.restore.open import Settings, open_restorer

ROOT = Path(__file__).parent.parent
MODELS: dict[str, Task] = {
    "elir_sr_x4": "sr_x4",
    "elir_denoise": "denoise",
    "elir_deblur": "deblur",
    "elir_blind_sr_x4": "blind_sr_x4_published",
    "elir_inpaint": "inpaint_published",
}
PICTURES = ("astronaut_1", "coffee_1")
SIDE, LABEL, GAP = 256, 20, 6


def main() -> None:
    """Write the sheet: a row a model, three columns a picture."""
    columns = 3 * len(PICTURES)
    size = columns * (SIDE + GAP) + GAP, len(MODELS) * (SIDE + LABEL + GAP) + GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, (model, task) in enumerate(MODELS.items()):
        for column, (label, picture) in enumerate(_row(model, task)):
            left, top = GAP + column * (SIDE + GAP), GAP + row * (SIDE + LABEL + GAP)
            sheet.paste(Image.fromarray(picture), (left, top + LABEL))
            draw.text((left, top + 2), label, fill="black", font=ImageFont.load_default(13))
    sheet.save(ROOT / "docs/images/tasks.webp", quality=88, method=6)


def _row(model: str, task: Task) -> list[tuple[str, np.ndarray]]:
    # Degraded pictures stand on the output grid already: scale 1.
    restorer = open_restorer(model, Settings(scale=1))
    items = {item.name: item for item in load_set("photos_validation", task)}
    shown = []
    for name in PICTURES:
        item = items[name]
        assert item.clean is not None  # photographs have their truth
        restored = restorer.restore(item.degraded, lambda: None)
        shown += [(f"{task}: {task_input(task)}", item.degraded), (model, restored), ("clean", item.clean)]
    return shown


if __name__ == "__main__":
    main()
