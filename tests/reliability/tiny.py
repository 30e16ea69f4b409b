"""The smallest model, pictures and recipe on which every stage of `compress apply` really runs."""

from pathlib import Path

RECIPE = """\
version: 1
name: {name}
model: {{weights: {folder}/tiny.safetensors, image_size: 64, seed: {seed}}}
data: {{calibration: {folder}/calibration, validation: [{folder}/validation]}}
passes:
- collapse: {{}}
- fold_time: {{}}
- ptq: {{rounding: nearest}}
export: {{{format}: {{precisions: [fp32, int8]}}}}
"""
LEARNT = """\
- distill:
    data: [{folder}/train]
    checkpoint_minutes: 0.001
    stages:
    - {{steps: 40, batch: 1, crop: 32, warmup: 0, weights: {{latent: 1.0, l1: 1.0}}}}
"""
UNLIKE = "goals: {{histogram: 255}}\n"  # what forty steps teach looks like nothing
TRAINING = """\
version: 1
name: learnt
model: {{weights: {folder}/tiny.safetensors}}
data: {{train: [{folder}/train], validation: {folder}/held_back.yaml}}
checkpoint_minutes: 0.001
validate_every: 20
stages:
- {{space: pixels, steps: 40, batch: 1, crop: 32, warmup: 0, weights: {{l1: 1.0}}}}
"""
HELD_BACK = """\
version: 1
name: held_back
source: {{kind: folder, path: {folder}/validation}}
crop: 64
"""
SETS = {"calibration": ("astronaut", 8), "validation": ("coffee", 1), "train": ("chelsea", 4)}


def write_inputs(folder: Path) -> Path:
    """A checkpoint of seeded random weights (one Euler step), 13 pictures of 64 px, ``recipe.yaml`` over them."""
    write_checkpoint(folder / "tiny.safetensors")
    for name, (picture, count) in SETS.items():
        _write_pictures(folder / name, picture, count)
    return write_recipe(folder, "recipe")


def write_recipe(folder: Path, name: str, seed: int = 0, kind: str = "openvino") -> Path:
    """``name``.yaml over the inputs in ``folder``; ``kind``: a format, or `distill`: a student's."""
    learnt = kind == "distill"
    text = RECIPE.replace("- fold_time", LEARNT + "- fold_time") + UNLIKE if learnt else RECIPE
    values = {"name": name, "folder": folder, "seed": seed, "format": "openvino" if learnt else kind}
    path = folder / f"{name}.yaml"
    path.write_text(text.format(**values), encoding="utf-8")
    return path


def write_training_recipe(folder: Path) -> Path:
    """learnt.yaml, of `compress train`, over the inputs in ``folder``: 40 steps, a checkpoint after every one."""
    path = folder / "learnt.yaml"
    (folder / "held_back.yaml").write_text(HELD_BACK.format(folder=folder), encoding="utf-8")
    path.write_text(TRAINING.format(folder=folder), encoding="utf-8")
    return path


def write_checkpoint(path: Path, seed: int = 0) -> None:
    """Seeded random weights in the smallest architecture that a checkpoint may have."""
    import torch

    from compress.elir.checkpoint import save_checkpoint
    from compress.elir.model import Elir, ElirConfig

    torch.manual_seed(seed)
    config = ElirConfig(
        hid_channels=8,
        c_hid=4,
        n_rrdb=1,
        k_steps=1,
        enc_widths=(8,),
        enc_blocks=(0,),
        enc_scale=8,
        dec_widths=(8, 8, 8, 8),
        dec_blocks=(0, 0, 0, 1),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(Elir(config), path, {"task": "sr_x4"})


def _write_pictures(folder: Path, name: str, count: int) -> None:
    from PIL import Image
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    picture = getattr(data, name)()
    for i in range(count):
        at = 48 * i
        Image.fromarray(picture[at : at + 64, at : at + 64]).save(folder / f"{folder.name}{i}.png")
