"""The attempts: each a whole run beside the bundle, whose float artifacts it shares; the best becomes the bundle."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from compress.files import PART
from compress.folders import WRITTEN
from compress.pipeline.cache import FOLDER
from compress.pipeline.fallback.steps import Change, Errors, changes, nothing_left
from compress.pipeline.goals import QUALITY
from compress.progress import Progress
from compress.recipe.schema import Recipe
from compress.recipe.search_and_fallback import Fallback
from compress.results.document import Results
from compress.results.fallback import FallbackStep
from compress.results.goal import Goal

BESIDE = ".fallback"


class Attempts:
    """``run(recipe, folder)`` gives a run's results; ``errors(recipe, folder, format)`` measures where it errs.

    ``best_folder``, ``best_recipe`` and ``best`` (results) are what was found, ``log`` how.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        results: Results,
        run: Callable[[Recipe, Path], Results],
        errors: Callable[[Recipe, Path, str], Errors],
        progress: Progress,
    ) -> None:
        assert recipe.fallback is not None
        self.asked: Fallback = recipe.fallback
        self.folder, self.run, self.errors, self.progress = folder, run, errors, progress
        # What an attempt made must not be tried to mend once more when its recipe is applied.
        self.best_recipe = recipe.model_copy(update={"fallback": None})
        self.best_folder, self.best = folder, results
        self.log: list[FallbackStep] = []
        self.tried = [recipe.passes]

    def go(self) -> None:
        """Every step, until all goals are met or the budget is spent."""
        spent = 0.0
        for number, step in enumerate(self.asked.steps, 1):
            if self.best.goals_met:
                return
            if why := self._no_use():
                self._skip(step, why)
                return
            if spent >= 60 * self.asked.minutes:
                self._skip(step, f"the budget of {self.asked.minutes:g} minutes is spent")
                return
            spent += self._try(number, step)

    def _no_use(self) -> str | None:
        """Why no step can help: each makes int8 artifacts better, none makes them faster or smaller."""
        kinds = list(dict.fromkeys(g.goal for g in self.best.goals if not g.met))
        quality = self._missed_quality()
        if any(g.value is not None for g in quality) or _wrong_int8(self.best):
            return None
        if quality:
            return f"what misses {', '.join(kinds)} was not run here, so that no step can be judged"
        missing = ", ".join(kinds) or "parity of a float artifact"
        return f"{missing} missed, and no step makes an artifact faster or smaller"

    def _skip(self, step: str, why: str) -> None:
        self.progress.say(f"fallback: {step}: not tried, {why}")
        self.log.append(FallbackStep(step=step, skipped=why))

    def _try(self, number: int, step: str) -> float:
        """One step, on top of the best so far; its seconds."""
        change = self._change(step)
        if change is None:
            self._skip(step, nothing_left(step))
            return 0.0
        before = missed(self.best)
        self.progress.say(f"fallback: {step}: {change.text} ({'; '.join(before)})")
        self.tried.append(change.recipe.passes)
        folder = self.folder / BESIDE / f"{number}-{step}"
        share_floats(self.folder, folder)
        results = self.run(change.recipe, folder)
        kept = shortfall(results) < shortfall(self.best)
        after = missed(results)
        if kept:
            self.best_recipe, self.best_folder, self.best = change.recipe, folder, results
        counts = f"{len(after)} of {len(results.goals)} goals missed, {len(before)} before"
        self.progress.say(f"fallback: {step}: {'kept' if kept else 'dropped, it is no better'}: {counts}")
        seconds = results.seconds or 0.0
        self.log.append(
            FallbackStep(
                step=step, changed=change.text, missed_before=before, missed_after=after, kept=kept, seconds=seconds
            )
        )
        return seconds

    def _change(self, step: str) -> Change | None:
        errors = partial(self.errors, self.best_recipe, self.best_folder, self._worst_format())
        candidates = changes(step, self.best_recipe, errors)
        return next((change for change in candidates if change.recipe.passes not in self.tried), None)

    def _missed_quality(self) -> list[Goal]:
        return [g for g in self.best.goals if not g.met and g.goal in (*QUALITY, "histogram")]

    def _worst_format(self) -> str:
        """Format of the artifact that misses a goal by the most."""
        quality = self._missed_quality()
        worst = max(quality, key=_relative).artifact if quality else _wrong_int8(self.best)[0]
        return str(worst).partition("-")[0]


def missed(results: Results) -> list[str]:
    """Each goal that was missed, in words; parity too."""
    goals = [f"{g.goal} of {g.artifact} {_figure(g.value)}, bound {g.bound:g}" for g in results.goals if not g.met]
    return goals + [f"parity of {p.artifact}" for p in results.parity if p.met is False]


def _wrong_int8(results: Results) -> list[str]:
    """int8 artifacts that are not what the simulated model is."""
    return [p.artifact for p in results.parity if p.met is False and "int8" in p.artifact]


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def shortfall(results: Results) -> tuple[int, float]:
    """How many goals are missed, and by how much in all, of their bounds: less is better."""
    parity = sum(p.met is False for p in results.parity)
    return len(missed(results)), parity + sum(_relative(g) for g in results.goals if not g.met)


def _relative(goal: Goal) -> float:
    if goal.value is None or goal.bound is None:
        return 1.0
    return abs(goal.value - goal.bound) / max(abs(goal.bound), 1e-6)


def share_floats(source: Path, folder: Path) -> None:
    """Give an attempt the float artifacts, and the records of what was finished; links, since no file is changed in
    place. A folder that is there is an attempt that goes on."""
    if folder.exists():
        return
    part = folder.with_name(f"{PART}{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in ("fp32", "fp16", FOLDER):
        if (source / name).is_dir():
            shutil.copytree(source / name, part / name, copy_function=_link)
    os.replace(part, folder)


def adopt(source: Path, folder: Path) -> None:
    """Put an attempt's files in place of the bundle's; its results, report and manifest are written again."""
    for name in (*WRITTEN, FOLDER):
        for path in sorted((source / name).rglob("*")):
            target = folder / path.relative_to(source)
            if path.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(f"{PART}{target.name}")
                part.unlink(missing_ok=True)
                _link(str(path), str(part))
                os.replace(part, target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
