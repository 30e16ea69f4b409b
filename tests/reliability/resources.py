"""What `compress` does when space, rights or memory run out, and how much memory it takes."""

import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.reliability.base import APPLY_LIMIT_S, Base, emptied
from tests.reliability.crash import Crashes
from tests.reliability.process import command, forked
from tests.reliability.section import Section, problems

MIB = 2**20
MEGAPIXELS = 64
PICTURES = 10_000


def run(base: Base, section: Section, seed: int, megapixels: int = MEGAPIXELS, pictures: int = PICTURES) -> None:
    """Limits on files and memory, a folder that cannot be written, a small disk; then peaks of memory."""
    _read_only(base, section)
    _small_disk(base, section)
    _folders(base, section, pictures)
    _restores(base, section, megapixels)
    _evaluations(base, section, pictures // 50)
    _large(base, section, megapixels)
    crashes = Crashes(base, section, seed)
    # What the command prints goes to files too, and takes up to 4 kB.
    for kept, limit in ((len(crashes.records), 8192), (len(crashes.records), 20_000), (0, 40_000)):
        _limited(crashes, kept, f"files limited to {limit} bytes", lambda n=limit: _files(n))
    for kept, more in ((0, 8), (0, 64), (3, 8)):
        _limited(crashes, kept, f"address space + {more} MiB", lambda n=more: _memory(n))


def _limited(crashes: Crashes, kept: int, how: str, limit: Callable[[], None]) -> None:
    """A run after ``kept`` stage records that meets the limit, and the next one, which does not."""
    crashes.begin(kept)
    ended = crashes.apply(limit)
    faults = problems(ended, {0, 2}) + crashes.after_kill() + crashes.after_next(crashes.apply())
    crashes.section.add(how, faults, f"after {kept} stage records", ended)


def _memory(more: int) -> None:
    """Address space limited to what the process has, and ``more`` MiB."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + more * MIB
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _files(limit: int) -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails with EFBIG, as it does with ENOSPC
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def _read_only(base: Base, section: Section) -> None:
    """The bundle's folder below a file, and, for users other than root, below a folder without rights."""
    folder = emptied(base.folder / "case")
    (folder / "file").write_text("x")
    (folder / "locked").mkdir(mode=0o555)
    places = [folder / "file" / "out", *([] if os.geteuid() == 0 else [folder / "locked" / "out"])]
    for place in places:
        arguments = ["apply", str(base.recipe), "--out", str(place)]
        ended = forked(command(arguments, folder, watched=False), folder / "log", APPLY_LIMIT_S)
        section.add("folder that cannot be written", problems(ended, {2}), place.parent.name, ended)


def _small_disk(base: Base, section: Section) -> None:
    """A tmpfs of 1 MiB, where this user may mount one; told as not tried where not."""
    disk = emptied(base.folder / "disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        section.tell("disk of 1 MiB", "not tried: this user may mount none")
        return
    try:
        arguments = ["apply", str(base.recipe), "--out", str(disk / "out")]
        folder = emptied(base.folder / "case")
        ended = forked(command(arguments, folder, watched=False), folder / "log", APPLY_LIMIT_S)
        partial = [f"partial {p.name}" for p in disk.rglob(".part-*") if p.is_file()]
        section.add("full disk (tmpfs of 1 MiB)", problems(ended, {2}) + partial, "apply of the tiny recipe", ended)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _restores(base: Base, section: Section, megapixels: int) -> None:
    """Peak memory of restoring a small picture, and one whose output has ``megapixels`` million pixels."""
    for side in (64, round((megapixels * 1e6) ** 0.5 / 4)):
        folder = emptied(base.folder / "case")
        _picture(folder / "picture.png", side)
        arguments = ["restore", str(base.checkpoint), str(folder / "picture.png"), "-o", str(folder / "out.png")]
        _measured(section, folder, arguments, f"restore to {(4 * side) ** 2 / 1e6:.1f} MP", {0})


def _evaluations(base: Base, section: Section, pictures: int) -> None:
    """Peak memory of judging 10 pictures of 128 px, and ``pictures`` of them."""
    for count in (10, pictures):
        folder = emptied(base.folder / "case")
        data = _pictures(folder, count, 128)
        arguments = ["evaluate", str(base.checkpoint), "--data", str(data), "--json"]
        _measured(section, folder, arguments, f"evaluation on {count} pictures", {0})


def _large(base: Base, section: Section, megapixels: int) -> None:
    """Peak memory of calibrating with one picture of ``megapixels`` million pixels, and of judging it whole."""
    folder = emptied(base.folder / "case")
    (folder / "pictures").mkdir()
    _picture(folder / "pictures" / "large.png", round((megapixels * 1e6) ** 0.5))
    setting = f"data.calibration={folder / 'pictures'}"
    plan = ["apply", str(base.recipe), "--out", str(folder / "out"), "--dry-run", "--set", setting]
    _measured(section, folder, plan, f"calibration set of a picture of {megapixels} MP", {0})
    judged = ["evaluate", str(base.checkpoint), "--data", str(folder / "pictures"), "--json"]
    _measured(section, folder, judged, f"evaluation of a picture of {megapixels} MP", {0})


def _folders(base: Base, section: Section, pictures: int) -> None:
    """Peak memory of reading 100 pictures of 64 px for calibration, and ``pictures`` of them."""
    for count in (100, pictures):
        folder = emptied(base.folder / "case")
        setting = f"data.calibration={_pictures(folder, count, 64)}"
        plan = ["apply", str(base.recipe), "--out", str(folder / "out"), "--dry-run", "--set", setting]
        _measured(section, folder, plan, f"calibration set of {count} pictures", {0})


def _pictures(folder: Path, count: int, side: int) -> Path:
    (folder / "pictures").mkdir()
    for i in range(count):
        _picture(folder / "pictures" / f"{i:05d}.png", side, i)
    return folder / "pictures"


def _picture(path: Path, side: int, seed: int = 0) -> None:
    import numpy as np
    from PIL import Image

    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(path, compress_level=1)


def _measured(section: Section, folder: Path, arguments: list[str], kind: str, codes: set[int]) -> None:
    def before() -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here, not at the parent's

    def run() -> int:
        code = 0
        try:
            command(arguments, folder, watched=False, before=before)()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        (folder / "peak").write_text(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
        return code

    ended = forked(run, folder / "log", APPLY_LIMIT_S)
    peak = folder / "peak"
    if peak.is_file():
        section.tell(f"peak MiB, {kind}", int(peak.read_text()) // 1024)
    section.add(kind, problems(ended, codes), " ".join(arguments), ended)
