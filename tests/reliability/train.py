"""Training that is killed: `compress train`, and a student's within `compress apply`; the next run must make good."""

import random
from pathlib import Path

from tests.reliability.base import APPLY_LIMIT_S, Base, emptied
from tests.reliability.crash import Crashes
from tests.reliability.process import CaseEnd, command, forked
from tests.reliability.section import Section, problems
from tests.reliability.tiny import write_training_recipe

SHARE = 10
"""Of the kills at random moments of `apply`, so many times fewer are tried here, of each kind."""


def run(base: Base, section: Section, kills: int, seed: int) -> None:
    """``kills`` // 10 kills at random moments of each kind of training; a checkpoint is written after every step."""
    count = max(1, kills // SHARE)
    trainings(base, section, count, seed)
    Crashes(base, section, seed, "distill").random_kills(count, 1.0, "SIGKILL while a student learns")


def trainings(base: Base, section: Section, count: int, seed: int) -> None:
    """SIGKILL at a random moment of `compress train`: the next run's weights are an undisturbed run's, to the byte."""
    recipe = write_training_recipe(base.inputs)
    folder = emptied(base.folder / "train")
    whole = _train(recipe, folder / "reference", folder)
    if whole.code:
        raise RuntimeError(f"the tiny training itself failed with {whole.code}: {whole.err[-2000:]}")
    wanted = (folder / "reference" / "learnt.safetensors").read_bytes()
    chosen = random.Random(seed)
    for number in range(count):
        out, at = folder / f"out{number}", chosen.uniform(0, whole.seconds)
        killed = _train(recipe, out, folder, at)
        faults = [f"the next run: {text}" for text in problems(_train(recipe, out, folder), {0})]
        if not faults and (out / "learnt.safetensors").read_bytes() != wanted:
            faults.append("the next run's weights differ from an undisturbed run's")
        faults += [f"left behind: {path.name}" for path in out.rglob(".part-*")]
        section.add("SIGKILL in `compress train`", faults, f"seed {seed}, {at:.2f} s", killed)


def _train(recipe: Path, out: Path, folder: Path, kill_after_s: float | None = None) -> CaseEnd:
    work = command(["train", str(recipe), "--out", str(out)], folder, watched=False)
    return forked(work, folder / "log", APPLY_LIMIT_S, kill_after_s)
