"""`compress restore`: pictures of any size and kind through a checkpoint, an artifact or a bundle."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compress.data.folders import scan
from compress.data.layers import (
    FORMATS,
    check_holds,
    check_holds_frames,
    check_writable,
    composed,
    save_frames,
    save_layers,
)
from compress.data.open import frame_sizes, size_of, suffixes
from compress.data.picture import read_frames, read_picture
from compress.errors import CompressError, InputError
from compress.files import check_room, real_path
from compress.measure.blockiness import VISIBLE, blockiness
from compress.restore.forecast import Forecast
from compress.restore.open import Restorer, Settings, open_restorer

if TYPE_CHECKING:
    import numpy as np

    from compress.progress import Progress

NAMED = 3  # failed pictures that an error names
PAGES = (".tif", ".tiff", ".mpo", ".heic", ".heif", ".hif")


def restore_pictures(
    source: str,
    pictures: Sequence[Path],
    out: Path,
    settings: Settings,
    progress: "Progress",
    *,
    frames: bool = False,
) -> list[Path]:
    """Restore pictures and folders of pictures; returns the files written.

    ``source`` as in ``open_restorer``. One picture goes to ``out`` itself when that has a suffix; all else to files in
    the folder ``out``, named and nested as the sources are. ``frames``: every frame or page of a picture that has
    several, not only the first. A picture that fails does not stop the others. Raises InputError naming those that
    failed, at the end, or at once what stops all of them.
    """
    jobs = destinations(pictures, out, frames=frames, say=progress.say)
    restorer = open_restorer(source, settings)
    progress.remark(restorer.remark)
    forecast = Forecast.of(restorer, jobs, frames=frames)
    forecast.say(restorer, progress)
    failed: list[InputError] = []
    unexpected: list[Exception] = []
    whole = progress.stage("restore", total=len(jobs), effort=forecast.tiles) if len(jobs) > 1 else nullcontext()
    with whole as all_jobs:
        for i, (picture, path) in enumerate(jobs):
            try:
                name = f"{picture.name} ({i + 1} of {len(jobs)})"
                (_restore_frames if frames else _restore_one)(restorer, picture, path, name, progress)
            except InputError as error:
                failed.append(error)
                if len(jobs) > 1:
                    progress.say(str(error))
            except CompressError:
                raise  # this picture is not the cause
            except Exception as error:  # a bug, which must not cost the other pictures: it is raised after them
                unexpected.append(error)
                progress.say(f"{picture}: {type(error).__name__}: {error}")
            if all_jobs is not None:
                all_jobs.advance(effort=forecast.by_job[i])
    if unexpected:
        raise unexpected[0]
    if failed:
        raise failed[0] if len(jobs) == 1 else _summary(failed, len(jobs), reported=progress.mode != "silent")
    return [path for _, path in jobs]


def _restore_one(restorer: Restorer, picture: Path, path: Path, name: str, progress: "Progress") -> None:
    _check_size(restorer, size_of(picture), path)
    given = read_picture(picture)
    notes = [*given.notes, *_blocks(restorer, given.rgb)]
    if given.frames > 1:
        notes.append(f"frame 1 of {given.frames} was taken; all of them are restored on request (--frames)")
    for note in notes:
        progress.say(f"{picture}: {note}")
    height, width = given.rgb.shape[:2]
    total = restorer.steps(height, width)
    with _memory(restorer, picture, height, width), progress.stage(name, total=total) as stage:
        restored = restorer.restore(given.rgb, stage.advance)
        notes = save_layers(restored, given, path)
    for note in notes:
        progress.say(f"{path}: {note}")


def _blocks(restorer: Restorer, picture: "np.ndarray") -> list[str]:
    """A warning of blocks that a model makes sharper which did not learn to remove them."""
    ratio = blockiness(picture)
    if ratio < VISIBLE or (restorer.task or "").startswith("blind"):
        return []
    halve = ", or halve its size first" if restorer.scale > 1 else ""
    return [
        f"blocks of JPEG compression are visible (steps between them are {ratio:.2f} times those inside), and restoring"
        f" makes them sharper: take a less compressed copy{halve}, or a model that learnt from JPEG (task blind_sr_x4)"
    ]


def _restore_frames(restorer: Restorer, picture: Path, path: Path, name: str, progress: "Progress") -> None:
    sizes = frame_sizes(picture)
    if len(sizes) == 1:
        _restore_one(restorer, picture, path, name, progress)
        return
    check_holds_frames(path, sizes)
    for size in set(sizes):
        _check_size(restorer, size, path)
    width, height = sizes[0]
    total = sum(restorer.steps(height, width) for width, height in sizes)
    with _memory(restorer, picture, height, width), progress.stage(name, total=total) as stage:
        images, beside = [], []
        for given in read_frames(picture):
            images.append(composed(restorer.restore(given.rgb, stage.advance), given))
            # Its colours are as large as the source: only what stands beside them is still needed.
            beside.append(replace(given, rgb=given.rgb[:0]))
        notes = dict.fromkeys(note for given in beside for note in given.notes)
        for note in [*notes, *save_frames(images, beside, path)]:
            progress.say(f"{picture}: {note}")


def _check_size(restorer: Restorer, size: tuple[int, int], path: Path) -> None:
    width, height = size
    check_holds(path, width * restorer.scale, height * restorer.scale)


@contextmanager
def _memory(restorer: Restorer, picture: Path, height: int, width: int) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise InputError(
            f"{picture}: {width} x {height} px, x{restorer.scale}, do not fit in memory: cut it into smaller pictures"
        ) from None


def _summary(failed: Sequence[InputError], total: int, *, reported: bool) -> InputError:
    """``reported``: each failure was, when it happened."""
    if reported:
        return InputError(f"{len(failed)} of {total} pictures failed, for the reasons above; the others are restored")
    named = "; ".join(str(error) for error in failed[:NAMED])
    more = f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    return InputError(f"{len(failed)} of {total} pictures failed, the others are restored: {named}{more}")


def destinations(
    pictures: Sequence[Path], out: Path, *, frames: bool = False, say: Callable[[str], None] = lambda text: None
) -> list[tuple[Path, Path]]:
    """(picture, file to write) for every picture given, and for every picture below a folder given.

    ``frames``: pages become .tif files. ``say`` gets a line on what is left out. Raises InputError for a missing path,
    a folder without pictures, an output that would replace an input, or one among the inputs, which the next run would
    restore again.
    """
    single = len(pictures) == 1 and not pictures[0].is_dir()
    sources = [item for path in pictures for item in _pictures_of(path, out, say)]
    if single and out.suffix and not out.is_dir():
        check_writable(out)
        jobs = [(sources[0][0], out)]
    else:
        _check_folder(out, len(sources))
        jobs = [(path, out / name) for path, name in _distinct(sources, frames=frames)]
    for _, path in jobs:
        check_room(path.parent, [path.name])
    inputs = {real_path(path) for path, _ in jobs}
    for _, path in jobs:
        if real_path(path) in inputs:
            raise InputError(f"{path}: would replace a picture to restore: choose another output folder")
    if not single:
        _check_apart(pictures, out)
    return jobs


def _check_folder(out: Path, count: int) -> None:
    if out.is_dir():
        return
    if out.exists():
        raise InputError(f"{out}: is a file: name a folder for {count} pictures")
    if out.suffix.lower() in {*suffixes(), *FORMATS}:
        instead = out.with_suffix("")
        raise InputError(f"{out}: names a picture, a folder is needed for what is restored: say -o {instead}")


def _check_apart(pictures: Sequence[Path], out: Path) -> None:
    """No output folder among the inputs: the next run would restore, and enlarge, what this one writes there."""
    for path in pictures:
        inputs = path if path.is_dir() else path.parent
        if real_path(out) == real_path(inputs):
            raise InputError(
                f"{out}: is the folder of the pictures to restore, where the next run would restore them again: "
                f"choose another output folder, say -o {out / 'restored'}"
            )


def _pictures_of(path: Path, out: Path, say: Callable[[str], None]) -> list[tuple[Path, Path]]:
    """(picture, its place below the folder given)."""
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path}: no such picture: check the path")
        return [(path, Path(path.name))]
    listing = scan(path)
    # What an earlier run wrote into a folder below is not a picture to restore.
    below = real_path(path) in real_path(out).parents
    pictures = [p for p in listing.pictures if not (below and real_path(out) in real_path(p).parents)]
    if not pictures:
        others = f", left out: {listing.left_out}" if listing.others else ""
        raise InputError(f"{path}: no pictures in this folder{others}: check the path")
    for line in listing.words(path):
        say(line)
    if len(pictures) < len(listing.pictures):
        say(f"{out}: {len(listing.pictures) - len(pictures)} pictures in the output folder are left out")
    return [(picture, picture.relative_to(path)) for picture in pictures]


def _suffix(path: Path, *, frames: bool) -> str:
    """Suffix of the file to write in a folder: pages have sizes of their own, which no animation holds."""
    try:
        return ".tif" if frames and path.suffix.lower() in PAGES and len(frame_sizes(path)) > 1 else ".png"
    except InputError:
        return ".png"  # reported when its turn comes


def _distinct(sources: Iterable[tuple[Path, Path]], *, frames: bool) -> list[tuple[Path, Path]]:
    """Give each picture a .png name of its own: a.jpg beside a.png becomes a.jpg.png."""
    sources = list(sources)
    stems = Counter(name.with_suffix("") for _, name in sources)
    named = []
    for path, name in sources:
        alone, suffix = stems[name.with_suffix("")] == 1, _suffix(path, frames=frames)
        named.append((path, name.with_suffix(suffix) if alone else name.with_name(f"{name.name}{suffix}")))
    name, count = Counter(name for _, name in named).most_common(1)[0]
    if count > 1:
        raise InputError(f"{name}: {count} of the pictures would get this name: restore their folders one by one")
    return named
