"""Optuna's proposals for a sweep."""

from typing import Any

from compress.errors import Unavailable
from compress.sweep.schema import HIGHER, Interval, Optuna, Settings
from compress.text import install_extra


class Study:
    """A study in memory: with the same seed and the same answers it proposes the same."""

    def __init__(self, search: Optuna) -> None:
        try:
            import optuna
        except ImportError:
            raise Unavailable(f"search: Optuna is not installed: {install_extra('optuna')}") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._failed = optuna.trial.TrialState.FAIL
        self.search = search
        directions: list[Any] = ["maximize" if goal in HIGHER else "minimize" for goal in search.goals]
        sampler = optuna.samplers.TPESampler(seed=search.seed)
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        self._open: list[Any] = []

    def propose(self, count: int) -> list[Settings]:
        """Settings of ``count`` points; ``tell`` of each, in this order."""
        self._open = [self._study.ask() for _ in range(count)]
        return [
            {path: _value(trial, path, given) for path, given in self.search.values.items()} for trial in self._open
        ]

    def tell(self, figures: list[float] | None) -> None:
        """What the oldest open proposal gave; None: it failed."""
        trial = self._open.pop(0)
        if figures is None:
            self._study.tell(trial, state=self._failed)
        else:
            self._study.tell(trial, figures)


def _value(trial: Any, path: str, given: list[Any] | Interval) -> Any:
    if isinstance(given, Interval):
        if given.integer:
            return trial.suggest_int(path, int(given.low), int(given.high), log=given.log)
        return trial.suggest_float(path, given.low, given.high, log=given.log)
    # By number: a choice may be a list or a mapping, which Optuna does not take.
    return given[trial.suggest_categorical(path, list(range(len(given))))]
