"""Several `compress apply` at once: into one folder, and into folders of their own with one cache and one ledger."""

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.reliability.base import APPLY_LIMIT_S, Base, emptied
from tests.reliability.crash import stable_hashes
from tests.reliability.process import CaseEnd, command, forked
from tests.reliability.section import Section, problems
from tests.reliability.tiny import write_recipe

AT_ONCE = 4


def run(base: Base, section: Section) -> None:
    """Four of the same recipe in one folder, four of different seeds in folders of their own."""
    _same(base, section)
    _different(base, section)


def _same(base: Base, section: Section) -> None:
    folder = emptied(base.folder / "together")
    ended = _all(folder, [["apply", str(base.recipe), "--out", str(folder / "out"), "--json"]] * AT_ONCE)
    faults = [text for one in ended for text in problems(one, {0})]
    if not faults:
        reused = [json.loads(one.out)["reused"] for one in ended]
        waited = sum("another run is at work there, waiting for it" in one.err for one in ended)
        section.tell(
            "same folder: did the work, reused it, said that they wait", [reused.count(False), sum(reused), waited]
        )
        faults += [] if reused.count(False) == 1 else [f"{reused.count(False)} runs did the work"]
        faults += [] if _runs(folder) == 1 else [f"{_runs(folder)} runs in the ledger, 1 is wanted"]
    section.add("four applies of one recipe into one folder", faults, "tiny recipe")


def _different(base: Base, section: Section) -> None:
    folder = emptied(base.folder / "together")
    recipes = [write_recipe(base.inputs, f"seed{n}", n) for n in range(AT_ONCE)]
    ended = _all(folder, [["apply", str(r), "--out", str(folder / r.stem), "--json"] for r in recipes])
    faults = [text for one in ended for text in problems(one, {0})]
    faults += [] if _runs(folder) == AT_ONCE else [f"{_runs(folder)} runs in the ledger, {AT_ONCE} are wanted"]
    faults += [f"{r.stem}: no artifacts" for r in recipes if not stable_hashes(folder / r.stem)]
    section.add("four applies of different recipes, one ledger", faults, "tiny recipes")


def _all(folder: Path, commands: list[list[str]]) -> list[CaseEnd]:
    """Each in a child that waits for its own child, so that all are at work together."""
    children = []
    for i, arguments in enumerate(commands):
        pid = os.fork()
        if not pid:
            ended = forked(command(arguments, folder, watched=False), folder / f"log{i}", APPLY_LIMIT_S)
            (folder / f"ended{i}.json").write_text(json.dumps(ended.__dict__))
            os.kill(os.getpid(), signal.SIGKILL)  # leaves the harness's own clean-up to the parent
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    return [CaseEnd(**json.loads((folder / f"ended{i}.json").read_text())) for i in range(len(commands))]


def _runs(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        return int(connection.execute("SELECT count(DISTINCT run) FROM measurements").fetchone()[0])
