"""``python -m tests.reliability``: run the harness's sections; note every case in a journal; write the table of the
docs."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.reliability.base import Base
    from tests.reliability.section import Section

# Read when torch loads: idle threads that spin would slow every other process down.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SECTIONS = ("crash", "train", "resources", "concurrency", "hostile", "coverage", "numerical")


def main() -> int:
    """Exit code 1 when a case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--cases", type=int, default=10_000, help="of hostile input")
    parser.add_argument("--fuzz", type=int, default=100_000, help="inputs for each parser, drawn by coverage")
    parser.add_argument("--kills", type=int, default=200, help="at random moments")
    parser.add_argument("--operations", type=int, help="most file operations of a run to disturb; default: every one")
    parser.add_argument("--megapixels", type=int, default=64, help="of the largest picture restored")
    parser.add_argument("--pictures", type=int, default=10_000, help="of the largest calibration folder")
    parser.add_argument("--kind", default="", help="only kinds of hostile input whose name holds this")
    parser.add_argument("--skip", nargs="+", default=[], help="no kinds of hostile input whose name holds one of these")
    parser.add_argument("--seed", type=int, default=0, help="every case follows from it")
    parser.add_argument("--work", type=Path, help="folder to keep: inputs, bundles, failing cases")
    parser.add_argument("--journal", type=Path, default=Path("reliability.jsonl"), help="a line a case is added to it")
    parser.add_argument("--table", type=Path, help="run nothing; write the journals' table into this Markdown file")
    parser.add_argument("--journals", type=Path, nargs="+", default=[], help="of --table")
    given = parser.parse_args()
    if given.table:
        from tests.reliability.table import write_table

        write_table(given.table, given.journals or [given.journal])
        return 0
    if given.work:
        return _run(given, given.work)
    with tempfile.TemporaryDirectory() as folder:
        return _run(given, Path(folder))


def _section(section: "Section", given: argparse.Namespace, base: "Base") -> None:
    match section.name:
        case "crash":
            from tests.reliability import crash

            crash.run(base, section, given.kills, given.seed, given.operations)
        case "train":
            from tests.reliability import train

            train.run(base, section, given.kills, given.seed)
        case "resources":
            from tests.reliability import resources

            resources.run(base, section, given.seed, given.megapixels, given.pictures)
        case "concurrency":
            from tests.reliability import concurrency

            concurrency.run(base, section)
        case "hostile":
            from tests.reliability.hostile import section as hostile

            hostile.run(base, section, given.cases, given.seed, base.folder / "failed", given.kind, given.skip)
        case "coverage":
            from tests.reliability import coverage

            coverage.run(base, section, given.fuzz, given.seed)
        case "numerical":
            from tests.reliability import numerical

            numerical.run(base, section)


def _run(given: argparse.Namespace, work: Path) -> int:
    from tests.reliability.base import make_base
    from tests.reliability.section import Section
    from tests.reliability.warm import warm

    warm()
    base = make_base(work.resolve())
    faults = 0
    for name in given.sections:
        section = Section(name, given.journal)
        started = time.monotonic()
        _section(section, given, base)
        print(f"{name}: {section.cases} cases, {section.faults} failed, {time.monotonic() - started:.0f} s", flush=True)
        faults += section.faults
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
