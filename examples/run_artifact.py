"""Restore a picture of any size with an ONNX artifact, without this package: a model for your own program.

Needs numpy, Pillow and onnxruntime.

python examples/run_artifact.py runs/int8_sr/int8/onnx/model.onnx photo.png restored.png 4
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(artifact: str, picture: str, out: str, scale: str) -> None:
    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    tile = session.get_inputs()[0].shape[2]
    overlap = min(64, tile // 2)  # px that neighbouring tiles share

    # 1. Enlarge: the model's input has the size of its output. Pillow's bicubic is what the model was trained with.
    given = ImageOps.exif_transpose(Image.open(picture)).convert(
        "RGB"
    )  # phones write which way is up beside the pixels
    width, height = given.width * int(scale), given.height * int(scale)
    lq = np.asarray(given.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255  # (H, W, 3) in [0, 1]

    # 2. Pad by reflection to a multiple of 32 px, and to one tile at least.
    rows, columns = (max(tile, -(-side // 32) * 32) for side in (height, width))
    lq = np.pad(lq, ((0, rows - height), (0, columns - width), (0, 0)), mode="reflect")

    # 3. One noise field lies under the whole picture: one sample per 8 x 8 px, 16 channels, standard normal.
    noise = np.random.default_rng(0).standard_normal((16, rows // 8, columns // 8), dtype=np.float32)

    # 4. Run tile by tile, and blend: each tile's weight falls towards its edges.
    total, weights = np.zeros_like(lq), np.zeros((rows, columns, 1), np.float32)
    weight = blending(tile, overlap)
    for y in starts(rows, tile, overlap):
        for x in starts(columns, tile, overlap):
            # With `noise: seed`, by which a tile takes its part of the noise inside: docs/deploy_pictures.md.
            seed = (y // 8 * 2944 + x // 8 * 12319) % 16256
            feeds = {
                "lq": lq[y : y + tile, x : x + tile].transpose(2, 0, 1)[None],
                "noise": noise[None, :, y // 8 : (y + tile) // 8, x // 8 : (x + tile) // 8],
                "seed": np.array([seed], np.int64),
            }
            # An artifact with `noise: baked` has one input, others take noise or seed.
            names = [port.name for port in session.get_inputs()]
            hq = session.run(None, {name: np.ascontiguousarray(feeds[name]) for name in names})[0][0]
            total[y : y + tile, x : x + tile] += hq.transpose(1, 2, 0) * weight
            weights[y : y + tile, x : x + tile] += weight

    # 5. Cut the padding off, and round to 8 bits.
    hq = (total / weights)[:height, :width].clip(0, 1)
    Image.fromarray((hq * 255 + 0.5).astype(np.uint8)).save(out)


def starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin: at multiples of 32 px, the last one at the end of the side."""
    return [*range(0, side - tile, tile - overlap), side - tile]


def blending(tile: int, overlap: int) -> np.ndarray:
    """(tile, tile, 1): 1 inside, falling as a cosine to nothing in the outer quarter of the overlap at each edge."""
    edge = np.minimum(np.arange(tile) + 0.5, np.arange(tile, 0, -1) - 0.5) / overlap
    side = np.maximum(0.5 - 0.5 * np.cos(np.pi * (2 * edge - 0.5).clip(0, 1)), 1e-6).astype(np.float32)
    return (side[:, None] * side[None, :])[..., None]


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: run_artifact.py MODEL.onnx PICTURE OUT SCALE (4 for super-resolution x4, 1 for other tasks)")
    main(*sys.argv[1:])
