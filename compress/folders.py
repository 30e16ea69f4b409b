"""The one rule for every folder that a command writes into: it is new, empty, or that command's own, and it holds
nothing of another recipe that would be lost.

A folder of ours carries ``.compress.json``: what it is and what made it. Folders of older releases, which lack that
file, are recognised by what they hold.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from compress.errors import InputError
from compress.files import PART, check_room, locked, read_plain, write_text
from compress.hub import is_on_hub
from compress.surroundings import expanded, fresh_start

MARK = ".compress.json"
MANIFEST = "manifest.json"
WRITTEN = ("fp32", "fp16", "int8", "weights", "samples")
"""Folders of a bundle that hold artifacts and pictures."""
STAGES = ".stages"
# What file managers, version control and our own lock leave in a folder that a person calls empty.
_NOTHING = {".lock", ".DS_Store", "Thumbs.db", "desktop.ini", ".gitkeep", ".gitignore", ".directory"}
_BESIDE = {MARK, STAGES, ".fallback", "distill", "search", ".git", ".gitattributes", ".cache", *_NOTHING}
_OURS = (*WRITTEN, STAGES, ".fallback", "distill", "store", ".shared", ".files")
_NAMED = 3
MOST_BYTES = 64 << 20
"""Largest size of a file that records the owner of a folder or the result of a stage: scores of ten thousand pictures
take 10 MB.
"""
Kind = Literal["bundle", "training run", "sweep", "search"]
_KINDS: tuple[Kind, ...] = ("bundle", "training run", "sweep", "search")


def is_beside(name: str) -> bool:
    """Whether a bundle's folder may hold ``name`` without its being of the bundle: what commands keep there between
    runs, and what version control, the Hugging Face hub and file managers leave.
    """
    return name in _BESIDE or name.startswith(PART)


@dataclass(frozen=True)
class Owner:
    """What a folder is and what made it. ``source``: the recipe's built-in name or path, None where it came from
    Python; ``settings``: what changed it on the command line; ``makes``: names all that decides what the files are,
    None where nothing of another recipe can be lost; ``weights``: hex sha256 of the checkpoint.
    """

    kind: Kind
    name: str = ""
    source: str | None = None
    settings: tuple[str, ...] = ()
    makes: str | None = None
    weights: str | None = None

    @property
    def anybody(self) -> bool:
        """Whether it claims nothing of its own: what it writes fits any recipe's folder of its kind."""
        return self.source is None and self.makes is None


def source_of(name_or_path: str, folder: Path) -> str:
    """How ``Owner.source`` names a file: from ``folder`` on, so that a project can be moved as a whole."""
    if is_on_hub(name_or_path):
        return name_or_path
    path = expanded(name_or_path).absolute()
    try:
        return os.path.relpath(path, folder.absolute())
    except ValueError:  # another drive
        return str(path)


@contextmanager
def claimed(
    folder: Path, owner: Owner, say: Callable[[str], None], *, fresh: bool = False, before: Owner | None = None
) -> Iterator[None]:
    """Hold ``folder`` (``locked``) for a command that writes into it; errors as ``check_folder``."""
    check_folder(folder, owner, fresh=fresh, before=before)
    with locked(folder, say):
        # Whoever was waited for may have made it another recipe's.
        if edited := check_folder(folder, owner, fresh=fresh, before=before):
            say(edited)
        known = _mark(folder)
        if known is None or not owner.anybody:
            write_text(folder / MARK, json.dumps(asdict(owner), indent=1) + "\n")
        yield


def check_folder(folder: Path, owner: Owner, *, fresh: bool = False, before: Owner | None = None) -> str | None:
    """One line where an earlier version of the same recipe is replaced, else None.

    ``before``: whose the folder is, as its manifest says, where it has no mark. ``fresh``: another recipe's may go.
    Raises InputError for a folder with files that are not ours, of another kind, of another recipe, or with a link in
    place of one of its folders.
    """
    check_room(folder)
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file: name a folder (--out)")
        entries = folder.iterdir() if folder.is_dir() else ()
        # What a killed run left is removed by the next success.
        held = [path for path in entries if path.name not in _NOTHING and not path.name.startswith(PART)]
        foreign = [path.name for path in held if not _is_own(path)]
        mark = _mark(folder)
        kind = mark.kind if mark else _kind_of(folder)
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"{folder}: cannot be read or written ({why}): choose another folder (--out)") from None
    if not foreign and mark is None and kind is None:
        return None
    if kind is None:
        more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
        raise InputError(
            f"{folder}: holds {', '.join(sorted(foreign)[:_NAMED])}{more}, which compress did not write and might "
            "replace: name a new or an empty folder (--out)"
        )
    if kind not in (owner.kind, "stages"):
        raise InputError(f"{folder}: holds a {kind}, not a {owner.kind}: name another folder (--out)")
    for path in _links(folder):
        raise InputError(f"{path}: is a link, and would be written through: name another folder (--out)")
    known = mark if mark and not mark.anybody else before
    if known is None or owner.anybody or fresh:
        return None
    return _edited(folder, known, owner)


def _links(folder: Path) -> Iterator[Path]:
    """Links to folders where commands write; a link in place of a file is replaced by what is written."""
    for name in _OURS:
        for root, folders, _ in os.walk(folder / name):
            yield from (path for path in (Path(root, inner) for inner in folders) if path.is_symlink())
        if (folder / name).is_symlink():
            yield folder / name


def _edited(folder: Path, known: Owner, owner: Owner) -> str | None:
    """See ``check_folder``."""
    if known.makes is not None and known.makes == owner.makes:
        return None
    if owner.makes is None and (known.source is None or owner.source is None or known.source == owner.source):
        return None
    same = (known.source, known.settings, known.weights) == (owner.source, owner.settings, owner.weights)
    if same and known.name == owner.name:
        return f"{folder}: made by an earlier version of this recipe; what differs is made again"
    differs = next(
        text
        for text, different in (
            (f"recipe {known.name}", known.name != owner.name),
            (f"the recipe {known.source}", known.source != owner.source and known.source is not None),
            ("a recipe of the same name", known.source != owner.source),
            ("other weights", known.weights != owner.weights),
            (f"other settings (it was made {_by(known.settings)})", True),
        )
        if different
    )
    flag = "" if owner.kind == "sweep" else f", or replace it ({fresh_start()})"
    raise InputError(f"{folder}: holds the {owner.kind} of {differs}: name another folder (--out){flag}")


def _by(settings: Iterable[str]) -> str:
    return f"with {', '.join(settings)}" if settings else "without settings"


def _is_own(path: Path) -> bool:
    """A folder of ours inside another: ``runs/x/search`` in ``runs/x``."""
    return path.is_dir() and not path.is_symlink() and (_mark(path) is not None or _kind_of(path) is not None)


def _mark(folder: Path) -> Owner | None:
    content = _json(folder / MARK)
    if not isinstance(content, dict) or content.get("kind") not in _KINDS:
        return None
    texts, settings = [content.get(key) for key in ("source", "makes", "weights")], content.get("settings", [])
    fits = all(text is None or isinstance(text, str) for text in texts) and isinstance(content.get("name", ""), str)
    fits = fits and isinstance(settings, list) and all(isinstance(setting, str) for setting in settings)
    try:
        owner = Owner(**content)
    except TypeError:
        fits = False
    # Of a newer release, or of a stranger.
    return replace(owner, settings=tuple(settings)) if fits else Owner(content["kind"])


def _kind_of(folder: Path) -> str | None:
    """What a folder without a mark is; "stages": a bundle that was not finished, or a search."""
    manifest = _json(folder / MANIFEST)
    if isinstance(manifest, dict) and all(isinstance(manifest.get(key), list) for key in ("files", "artifacts")):
        return "bundle"
    if isinstance(plan := _json(folder / "plan.json"), dict) and {"name", "store", "units"} <= plan.keys():
        return "sweep"
    first = _first_line(folder / "metrics.jsonl")
    if isinstance(first, dict) and ("stage" in first or "validation" in first):
        return "training run"
    return "stages" if any(True for _ in finished_stages(folder)) else None


def finished_stages(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of finished stages below ``folder``."""
    for path in sorted((folder / STAGES).glob("*.json")):
        if record := stage_record(path):
            yield record


def stage_record(path: Path) -> dict[str, Any] | None:
    """key, files (hashes by path) and result of a finished stage; None for what is not a record."""
    record = _json(path)
    if not isinstance(record, dict) or not {"key", "files", "result"} <= record.keys():
        return None
    files = record["files"]
    return record if isinstance(files, dict) and all(isinstance(value, str) for value in files.values()) else None


def _json(path: Path) -> Any:
    try:
        return json.loads(read_plain(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None


def _first_line(path: Path) -> Any:
    try:
        if not path.is_file():  # no pipe, which would be waited for
            return None
        with path.open(encoding="utf-8") as file:
            return json.loads(file.readline(2**16))
    except (OSError, ValueError, RecursionError):
        return None


def remove_listed(folder: Path, files: Iterable[str]) -> None:
    """Remove files by their paths below ``folder``; what lies behind a link, or outside, is left alone."""
    for name in files:
        parts = PurePosixPath(name).parts
        inside = parts and not PurePosixPath(name).is_absolute() and ".." not in parts
        if not inside or any(folder.joinpath(*parts[:i]).is_symlink() for i in range(1, len(parts))):
            continue
        path = folder / name
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)


def remove_training(folder: Path, more: Iterable[str] = ()) -> None:
    """Remove what a training run writes into its folder, and ``more`` of its files, and nothing else."""
    paths = [folder / name for name in ("checkpoint.pt", "diverged.safetensors", "metrics.jsonl", *more)]
    paths += [p for text in ("teacher_*.safetensors", "events.out.tfevents.*") for p in folder.glob(text)]
    if not (folder / "samples").is_symlink():
        paths += folder.glob("samples/step_*.png")
    for path in paths:
        path.unlink(missing_ok=True)
