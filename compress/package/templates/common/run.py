"""Restore pictures of any size with the artifact beside this file.

    python run.py photo.jpg restored.png

In a program of your own (pictures are (H, W, 3) uint8, RGB):

    from run import Restorer
    restorer = Restorer()
    restored = restorer.restore(picture)

Needs numpy, Pillow and the runtime that model.py imports; compress.json says what the artifact takes and gives. The
same picture and seed give the picture that `compress restore` gives. Apache License 2.0, see licences/.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

try:
    import numpy as np
    from model import Model
    from PIL import Image, ImageOps
except ModuleNotFoundError as error:
    if __name__ != "__main__":
        raise
    raise SystemExit(f"{error.name} is not installed: README.md says what to install") from None

GRID = 32  # px; tiles start at its multiples, where every stride of the networks has the same phase
LATENT, CHANNELS = 8, 16  # px of the output per sample of the noise, and its channels
# Of the noise in an artifact that takes a seed: its samples, and what to add to a seed for one row or column further.
PERIOD, MOST_SEED, ROW_STEP, COLUMN_STEP = 127 * 128, 2**24 - 1, 2944, 12319
FEW, FIRST_S, EVERY_S = 8, 1, 5  # tiles of a picture that needs no word; seconds until the first word, and the next
# Pillow hands others to programs: a PostScript file, whatever its name, is run by Ghostscript.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")


class Axis:
    """Tiles along one side of ``size`` px: each ``tile`` px long, at ``starts``, over ``padded`` px."""

    def __init__(self, size, tile, overlap):
        self.size, self.tile = size, tile
        self.whole, self.taken = (-(-side // GRID) * GRID for side in (size, tile))  # the graph pads its tile to taken
        self.padded = tile + max(0, -(-(size - tile) // GRID) * GRID)
        step = (tile - overlap) // GRID * GRID
        self.starts = [*range(0, self.padded - tile, step), self.padded - tile]

    def pixels(self, unit):
        """Index of the pixel that each padded one mirrors, of the picture on the output grid (``unit`` 1), or of the
        small one that the artifact enlarges ``unit`` times: that is mirrored at the last pixel's edge.
        """
        inside = self.size // unit
        return np.pad(np.arange(inside), (0, self.padded // unit - inside), "reflect" if unit == 1 else "symmetric")

    def samples(self):
        """Index of the noise's sample that each padded one mirrors."""
        beyond = self.padded - self.tile + self.taken - self.whole
        return np.pad(np.arange(self.whole // LATENT), (0, beyond // LATENT), "reflect")

    def samples_at(self, start):
        """Those of the tile at ``start``."""
        return slice(start // LATENT, (start + self.taken) // LATENT)

    def tile_at(self, start, unit):
        """The tile at ``start``, where one sample stands for ``unit`` px."""
        return slice(start // unit, (start + self.tile) // unit)

    def weights(self, unit):
        """Weight of each sample of each tile, of which one stands for ``unit`` px: (tiles, tile / unit); they sum to
        one wherever tiles overlap.

        Over what two tiles share: nothing in the outer quarter, whose sight is cut short, then a raised cosine.
        """
        starts, tile = [start // unit for start in self.starts], self.tile // unit
        weights = np.ones((len(starts), tile))
        for i in range(len(starts) - 1):
            shared = starts[i] + tile - starts[i + 1]
            at = (np.arange(shared) + 0.5) / max(1, shared) * 2 - 0.5
            ramp = np.maximum(0.5 - 0.5 * np.cos(np.pi * at.clip(0, 1)), 1e-6)
            weights[i, tile - shared :] *= ramp[::-1]
            weights[i + 1, :shared] *= ramp
        total = np.zeros(self.padded // unit)
        for start, weight in zip(starts, weights):
            total[start : start + tile] += weight
        return np.stack([w / total[s : s + tile] for s, w in zip(starts, weights)]).astype(np.float32)


def blended(rows, columns, channels, made_at, unit=1):
    """What ``made_at`` makes of the tile at a row and column, (height, width, channels), blended: finished rows from
    top to bottom, as (first row, rows), valid until the next. One sample stands for ``unit`` px.
    """
    band = np.zeros((rows.tile // unit, columns.padded // unit, channels), np.float32)  # one row of tiles
    for top, end, down in zip(rows.starts, [*rows.starts[1:], rows.padded], rows.weights(unit)):
        for left, across in zip(columns.starts, columns.weights(unit)):
            band[:, columns.tile_at(left, unit)] += made_at(top, left) * (down[:, None] * across)[..., None]
        done = (end - top) // unit  # these rows no later tile touches
        yield top // unit, band[:done]
        band[: len(band) - done] = band[done:].copy()
        band[len(band) - done :] = 0


def counted(total, on_tile):
    """Gives back what it is given, a tile, and calls ``on_tile``."""
    done = 0

    def did(tile):
        nonlocal done
        done += 1
        on_tile(done, total)
        return tile

    return did


class Restorer:
    """The artifact of a package, loaded. ``folder``: where compress.json lies."""

    def __init__(self, folder=Path(__file__).parent):
        self.facts = json.loads((Path(folder) / "compress.json").read_text(encoding="utf-8"))
        graphs = self.facts["stages"] or {"whole": self.facts["model"]}
        self.models = {name: Model(str(Path(folder) / path), self.facts) for name, path in graphs.items()}
        self.scale, self.overlap = self.facts["scale"], self.facts["overlap"]
        self.takes_bytes = self.facts["io"] == "uint8"

    def restore(self, picture, seed=0, on_tile=lambda done, total: None):
        """Picture (H, W, 3) uint8 -> (scale H, scale W, 3) uint8. ``seed``: of the noise. ``on_tile``: called after
        each tile with how many are done, and of how many.

        Raises ValueError for any other array, for a seed out of range, and where the artifact gives what is no number.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise ValueError(f"the picture is {picture.dtype} {picture.shape}, it must be uint8 (height, width, 3)")
        size = [side * self.scale for side in picture.shape[:2]]
        rows, columns = (Axis(*axis, self.overlap) for axis in zip(size, self.facts["tile"]))
        passes = 2 if self.facts["stages"] else 1
        did = counted(passes * len(rows.starts) * len(columns.starts), on_tile)
        tile_at = (self._staged if self.facts["stages"] else self._whole)(picture, rows, columns, seed, did)
        restored = np.empty((*size, 3), np.uint8)
        for top, strip in blended(rows, columns, 3, tile_at):
            finished = strip[: max(0, rows.size - top), : columns.size].clip(0, 1)
            restored[top : top + len(finished)] = (finished * 255 + 0.5).astype(np.uint8)
        return restored

    def _whole(self, picture, rows, columns, seed, did):
        """Restores tiles, (H, W, 3) float32 in [0, 1], by one graph."""
        noise_at = self._seeds(seed) if self.facts["noise"] == "seed" else self._noise(rows, columns, seed)
        picture_at = self._picture(picture, rows, columns)

        def tile_at(top, left):
            given, noise = {"image" if self.takes_bytes else "lq": picture_at(top, left)}, noise_at(top, left)
            output = did(self._run("whole", **given, noise=noise, seed=noise))
            return output.astype(np.float32) / 255 if self.takes_bytes else output.transpose(1, 2, 0)

        return tile_at

    def _staged(self, picture, rows, columns, seed, did):
        """The same by three graphs: encoder and decoder take tiles, the flow between them the latent of all."""
        picture_at = self._picture(picture, rows, columns)

        def latent_at(top, left):
            return did(self._run("encode", lq=picture_at(top, left))).transpose(1, 2, 0)

        strips = blended(rows, columns, CHANNELS, latent_at, LATENT)
        latent = np.concatenate([strip.copy() for _, strip in strips]).transpose(2, 0, 1)
        noise = self._drawn(rows, columns, seed)
        # Of a picture smaller than a tile, which was padded, the flow must see the picture alone.
        latent = self._run("flow", latent=latent[None, :, : noise.shape[1], : noise.shape[2]], noise=noise[None])
        latent = latent[:, rows.samples()[:, None], columns.samples()]

        def tile_at(top, left):
            window = latent[None, :, rows.tile_at(top, LATENT), columns.tile_at(left, LATENT)]
            return did(self._run("decode", restored_latent=window, lq=picture_at(top, left))).transpose(1, 2, 0)

        return tile_at

    def _run(self, graph, **inputs):
        """What a graph gives, without the first dimension, which is 1."""
        output = self.models[graph].run({name: np.ascontiguousarray(value) for name, value in inputs.items()})[0]
        if not np.isfinite(output).all():
            raise ValueError("the artifact gives NaN or infinity: get an undamaged package")
        return output

    def _picture(self, picture, rows, columns):
        """Reads the input of a tile: (1, h, w, 3) uint8 of the picture as it is, where the artifact enlarges it, or
        (1, 3, H, W) float32 in [0, 1] of the enlarged picture; the models learnt Pillow's bicubic.
        """
        unit = self.scale if self.takes_bytes else 1
        y, x = rows.pixels(unit), columns.pixels(unit)
        if self.scale > unit:
            picture = np.asarray(Image.fromarray(picture).resize((columns.size, rows.size), Image.BICUBIC))

        def read(top, left):
            window = picture[y[rows.tile_at(top, unit), None], x[columns.tile_at(left, unit)]][None]
            return window if self.takes_bytes else window.transpose(0, 3, 1, 2).astype(np.float32) / 255

        return read

    def _seeds(self, seed):
        """Gives each tile the seed, (1,) int64, of its part of one noise that lies under the whole picture."""
        if not 0 <= seed <= MOST_SEED:
            raise ValueError(f"the seed is {seed}, it must be in [0, {MOST_SEED}]")

        def read(top, left):
            return np.array([(seed + top // LATENT * ROW_STEP + left // LATENT * COLUMN_STEP) % PERIOD], np.int64)

        return read

    def _drawn(self, rows, columns, seed):
        """A standard normal noise under the whole picture."""
        if seed < 0:
            raise ValueError(f"the seed is {seed}, it must be 0 or more")
        shape = (CHANNELS, rows.whole // LATENT, columns.whole // LATENT)
        return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)

    def _noise(self, rows, columns, seed):
        """Reads windows (1, 16, H/8, W/8) of it."""
        noise = self._drawn(rows, columns, seed)
        y, x = rows.samples(), columns.samples()
        return lambda top, left: noise[None, :, y[rows.samples_at(top), None], x[columns.samples_at(left)]]


def opened(path):
    """The picture, upright, (H, W, 3) uint8, and the profile of its colours, or None. Raises ValueError for one of more
    bits, which Pillow would cut off.
    """
    check_file(path)
    Image.init()
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"its values have more than 8 bits (mode {image.mode}): save it with 8")
        # One of CMYK or grey would not describe what is written.
        profile = image.info.get("icc_profile") if image.mode.startswith(("RGB", "P")) else None
        return np.array(ImageOps.exif_transpose(image).convert("RGB")), profile


def check_file(path):
    """Raise ValueError for a pipe, which would be waited for, or a device, which a file would replace."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("is not a file")


def format_at(path):
    """The format that a picture is written in at ``path``. Raises ValueError where none can be."""
    check_file(path)
    Image.init()
    suffix = Path(path).suffix.lower()
    if suffix not in Image.EXTENSION:
        raise ValueError(f"no picture is written as {suffix!r}")
    if not Path(path).parent.is_dir():
        raise ValueError("there is no such folder")
    return Image.EXTENSION[suffix]


def save(picture, path, profile=None):
    """Write a picture beside its place, then rename it: where it cannot be written, what was there stays."""
    format, suffix = format_at(path), Path(path).suffix
    part = Path(path).with_name(f".part-{os.urandom(4).hex()}{suffix}")
    # with the rights that the user's umask leaves it
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            Image.fromarray(picture).save(file, format, **({"icc_profile": profile} if profile else {}))
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def printable(text):
    """A name on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def progress():
    """Tells of the tiles of a large picture, in lines on stderr: after a second, then every few."""
    began, due = time.monotonic(), FIRST_S

    def on_tile(done, total):
        nonlocal due
        took = time.monotonic() - began
        if took >= due and FEW < total != done:
            left = took / done * (total - done)
            print(f"{done} of {total} tiles, about {max(1, round(left))} s left", file=sys.stderr, flush=True)
            due = took + EVERY_S

    return on_tile


def main():
    parser = argparse.ArgumentParser(description="Restore a picture of any size.")
    parser.add_argument("picture", help=f"picture to restore: {', '.join(FORMATS)}")
    parser.add_argument("out", help="picture to write; its suffix is the format")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise; by default 0")
    args = parser.parse_args()
    try:
        picture, profile = opened(args.picture)
    except Exception as error:  # Pillow's decoders raise what they like
        parser.exit(2, printable(f"{args.picture}: cannot be read ({' '.join(str(error).split())})") + "\n")
    try:
        format_at(args.out)  # before it takes a minute
        if os.path.exists(args.out) and os.path.samefile(args.picture, args.out):
            raise ValueError("it would replace the picture to restore: give another name")
        save(Restorer().restore(picture, args.seed, progress()), args.out, profile)
    except Exception as error:  # so do runtimes, of a damaged artifact
        parser.exit(2, printable(f"{args.out}: cannot be made ({' '.join(str(error).split())})") + "\n")


if __name__ == "__main__":
    main()
