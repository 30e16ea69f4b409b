"""`compress restore`: pictures of any size and kind through a checkpoint, an artifact or a bundle."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compress.data.layers import check_writable, open_layers, save_layers
from compress.data.pictures import find_pictures
from compress.errors import InputError
from compress.files import check_room
from compress.restorer import Restorer, Settings, open_restorer
from compress.schema import Task

if TYPE_CHECKING:
    from compress.progress import Progress

NAMED = 3  # failed pictures that an error names


def restore_pictures(
    source: str,
    pictures: Sequence[Path],
    out: Path,
    tile: int | None,
    overlap: int | None,
    seed: int,
    progress: "Progress",
    *,
    scale: int | None = None,
    k_steps: int | None = None,
    sigma_s: float | None = None,
    task: Task | None = None,
) -> list[Path]:
    """Restore pictures and folders of pictures; returns the files written.

    ``source`` as in ``open_restorer``, ``tile`` ... ``task`` as in ``Settings``. One picture goes to ``out`` itself
    when that has a suffix; all else to .png files in the folder ``out``, named and nested as the sources are. A
    picture that fails does not stop the others. Raises InputError naming those that failed, at the end, or at once
    what stops all of them.
    """
    jobs = destinations(pictures, out)
    restorer = open_restorer(source, Settings(tile, overlap, seed, scale, k_steps, sigma_s, task))
    progress.remark(restorer.remark)
    failed: list[InputError] = []
    for i, (picture, path) in enumerate(jobs):
        try:
            _restore_one(restorer, picture, path, f"{picture.name} ({i + 1} of {len(jobs)})", progress)
        except InputError as error:
            failed.append(error)
            if len(jobs) > 1:
                progress.say(str(error))
    if failed:
        raise failed[0] if len(jobs) == 1 else _summary(failed, len(jobs), progress.mode != "silent")
    return [path for _, path in jobs]


def _restore_one(restorer: Restorer, picture: Path, path: Path, name: str, progress: "Progress") -> None:
    layers = open_layers(picture)
    height, width = layers.rgb.shape[:2]
    try:
        with progress.stage(name, total=restorer.steps(height, width)) as stage:
            restored = restorer.restore(layers.rgb, stage.advance)
            save_layers(restored, layers, path)
    except MemoryError:
        raise InputError(
            f"{picture}: {width} x {height} px, x{restorer.scale}, do not fit in memory: cut it into smaller pictures"
        ) from None


def _summary(failed: Sequence[InputError], total: int, told: bool) -> InputError:
    """``told``: each failure has been, when it came."""
    if told:
        return InputError(f"{len(failed)} of {total} pictures failed, for the reasons above; the others are restored")
    named = "; ".join(str(error) for error in failed[:NAMED])
    more = f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    return InputError(f"{len(failed)} of {total} pictures failed, the others are restored: {named}{more}")


def destinations(pictures: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """(picture, file to write) for every picture given or found below a folder given.

    Raises InputError for a missing path, a folder without pictures, or an output that would replace an input.
    """
    found = [item for path in pictures for item in _found(path, out)]
    single = len(pictures) == 1 and not pictures[0].is_dir()
    if single and out.suffix and not out.is_dir():
        check_writable(out)
        jobs = [(found[0][0], out)]
    else:
        if out.exists() and not out.is_dir():
            raise InputError(f"{out}: is a file: name a folder for {len(found)} pictures")
        jobs = [(path, out / name) for path, name in _distinct(found)]
    for _, path in jobs:
        check_room(path.parent, [path.name])
    inputs = {path.resolve() for path, _ in jobs}
    for _, path in jobs:
        if path.resolve() in inputs:
            raise InputError(f"{path}: would replace a picture to restore: choose another output folder")
    return jobs


def _found(path: Path, out: Path) -> list[tuple[Path, Path]]:
    """(picture, its place below the folder given)."""
    if path.is_dir():
        # What an earlier run wrote into a folder below is not a picture to restore.
        pictures = [p for p in find_pictures(path) if out.resolve() not in p.resolve().parents or out == path]
        if not pictures:
            raise InputError(f"{path}: no pictures in this folder: check the path")
        return [(picture, picture.relative_to(path)) for picture in pictures]
    if not path.exists():
        raise InputError(f"{path}: no such picture: check the path")
    return [(path, Path(path.name))]


def _distinct(found: Iterable[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Give each picture a .png name of its own: a.jpg beside a.png becomes a.jpg.png."""
    found = list(found)
    stems = Counter(name.with_suffix("") for _, name in found)
    named = []
    for path, name in found:
        alone = stems[name.with_suffix("")] == 1
        named.append((path, name.with_suffix(".png") if alone else name.with_name(f"{name.name}.png")))
    name, count = Counter(name for _, name in named).most_common(1)[0]
    if count > 1:
        raise InputError(f"{name}: {count} of the pictures would get this name: restore their folders one by one")
    return named
