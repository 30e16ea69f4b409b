"""``python -m reliability``: run the harness's sections; write their figures as JSON and as the table of the docs."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reliability.base import Base
    from reliability.section import Section

# Read when torch loads: idle threads that spin would slow every other process down.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SECTIONS = ("hostile", "crash")


def main() -> int:
    """Exit code 1 when a case failed."""
    parser = argparse.ArgumentParser(prog="python -m reliability", description=__doc__)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--cases", type=int, default=10_000, help="of hostile input")
    parser.add_argument("--kills", type=int, default=200, help="at random moments")
    parser.add_argument("--operations", type=int, help="most file operations of a run to disturb; default: every one")
    parser.add_argument("--kind", default="", help="only kinds of hostile input whose name holds this")
    parser.add_argument("--seed", type=int, default=0, help="every case follows from it")
    parser.add_argument("--work", type=Path, help="folder to keep: inputs, bundles, failing cases")
    parser.add_argument("--json", type=Path, help="file of figures to write")
    given = parser.parse_args()
    if given.work:
        return _run(given, given.work)
    with tempfile.TemporaryDirectory() as folder:
        return _run(given, Path(folder))


def _section(name: str, given: argparse.Namespace, base: "Base") -> "Section":
    if name == "hostile":
        from reliability.hostile import section

        return section.run(base, given.cases, given.seed, base.folder / "failed", given.kind)
    from reliability import crash

    return crash.run(base, given.kills, given.seed, given.operations)


def _run(given: argparse.Namespace, work: Path) -> int:
    from reliability.base import make_base
    from reliability.warm import warm

    warm()
    base = make_base(work.resolve())
    found = []
    for name in given.sections:
        found.append(_section(name, given, base))
    for section in found:
        print(
            f"{section.name}: {section.cases.total()} cases, {len(section.faults)} faults, {section.seconds:.0f} s",
            flush=True,
        )
    if given.json:
        text = json.dumps([section.to_json() for section in found], indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")
    return int(any(section.faults for section in found))


if __name__ == "__main__":
    sys.exit(main())
