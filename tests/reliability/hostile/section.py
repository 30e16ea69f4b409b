"""The section of hostile input: cases of every kind, each in a process of its own."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.reliability.base import Base, emptied
from tests.reliability.hostile.kinds import KINDS, Kind
from tests.reliability.hostile.strategies import examples
from tests.reliability.process import CaseEnd, command, forked
from tests.reliability.section import Section, problems


def run(
    base: Base,
    section: Section,
    cases: int,
    seed: int,
    keep: Path | None = None,
    only: str = "",
    skip: Sequence[str] = (),
) -> None:
    """About ``cases`` cases, shared by the kinds' weights; files of failing ones are kept in ``keep``."""
    chosen = [kind for kind in KINDS if only in kind.name and not any(part in kind.name for part in skip)]
    total = sum(kind.weight for kind in chosen)
    for kind in chosen:
        _kind(section, base, kind, max(1, round(cases * kind.weight / total)), seed, keep)


def _kind(section: Section, base: Base, kind: Kind, count: int, seed: int, keep: Path | None) -> None:
    def use(example: Any, number: int) -> None:
        ended = one(base, kind, example)
        faults = problems(ended, kind.codes)
        section.add(kind.name, faults, f"--kind {kind.name!r} --seed {seed}, number {number} of {count}", ended)
        if faults and keep is not None:
            place = keep / f"{kind.name.replace(' ', '-')}-{seed}-{number}"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(base.folder / "case", place, symlinks=True, ignore=_special)

    examples(kind.strategy(base), count, seed, use)


def _special(folder: str, names: list[str]) -> list[str]:
    """Pipes, sockets and devices, which cannot be copied, and files that no disk holds twice."""
    paths = [Path(folder, name) for name in names]
    others = [path for path in paths if not (path.is_symlink() or path.is_dir() or path.is_file())]
    sparse = [path for path in paths if path.is_file() and not path.is_symlink() and path.stat().st_size > 2**32]
    return [path.name for path in (*others, *sparse)]


def one(base: Base, kind: Kind, example: Any) -> CaseEnd:
    """How the command ended on one example; its files stay in ``case`` below the base's folder till the next."""
    folder = emptied(base.folder / "case")
    inside = folder / "inside"
    inside.mkdir()
    arguments = kind.prepare(base, example, inside)
    (folder / "command").write_text(" ".join(arguments), encoding="utf-8", errors="replace")
    return forked(command(arguments, inside), folder / "log", kind.limit_s)
