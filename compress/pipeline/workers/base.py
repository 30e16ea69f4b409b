"""A piece of work, what became of it, and what workers do with many."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from compress.errors import CompressError, error_of

SHARES = 4  # pieces of work for each worker
ALL = 0
"""``Task.cpus``: every core of the node, so that nothing else of the workers' runs there meanwhile."""


@dataclass(frozen=True)
class Task:
    """``work(**given)``, a function of a module with plain data, its result plain data too.

    ``after``: keys of the tasks that must have ended well before. ``cpus``: cores that it takes of its node, or ALL.
    ``device``: what only one task at a time may use, e.g. the name of a deploy target; ``remote``: the device is
    reached from some nodes only, which declare it.
    """

    key: str
    label: str
    work: Callable[..., Any]
    given: Mapping[str, Any]
    after: tuple[str, ...] = ()
    cpus: int = 1
    device: str | None = None
    remote: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a task. ``message``: why it failed, one line; ``exit_code`` as of ``compress.errors``."""

    key: str
    status: Literal["done", "failed"]
    value: Any = None
    message: str = ""
    exit_code: int = 0
    seconds: float = 0.0
    host: str = field(default_factory=socket.gethostname)


OnOutcome = Callable[[Outcome], None]
Tick = Callable[[], None]


class Workers(Protocol):
    """Runs tasks; a task that fails does not stop the others."""

    @property
    def count(self) -> int:
        """How many tasks of one core run at once."""
        ...

    def run(self, tasks: Sequence[Task], on_outcome: OnOutcome, tick: Tick = lambda: None) -> dict[str, Outcome]:
        """The outcome of every task, by key.

        ``on_outcome`` gets each as it ends; ``tick`` is called now and then meanwhile.

        Raises InputError for a device that no node declares.
        """
        ...

    def close(self) -> None:
        """Leave what was opened."""
        ...


def perform(task: Task, needs: Sequence[Outcome]) -> Outcome:
    """Do one task, here and now: its own errors become its outcome, an interruption does not."""
    for need in needs:
        if need.status == "failed":
            return Outcome(task.key, "failed", message=f"needs what failed: {need.message}", exit_code=need.exit_code)
    started = time.monotonic()

    def ended(status: Literal["done", "failed"], **what: Any) -> Outcome:
        return Outcome(task.key, status, seconds=round(time.monotonic() - started, 3), **what)

    try:
        return ended("done", value=task.work(**task.given))
    except CompressError as error:
        return ended("failed", message=" ".join(str(error).split()), exit_code=error.exit_code)
    except Exception as error:
        return ended(
            "failed", message=" ".join(f"{type(error).__name__}: {error}".split()), exit_code=CompressError.exit_code
        )


def values(outcomes: Mapping[str, Outcome], tasks: Sequence[Task]) -> list[Any]:
    """The values of tasks, in their order. Raises the error of the first that failed."""
    results = []
    for task in tasks:
        outcome = outcomes[task.key]
        if outcome.status == "failed":
            raise error_of(outcome.exit_code)(f"{task.label}: {outcome.message}")
        results.append(outcome.value)
    return results


def each(
    workers: Workers, label: str, work: Callable[..., Any], given: Sequence[Mapping[str, Any]], on_outcome: OnOutcome
) -> list[Any]:
    """``work`` of each of ``given``, in parallel where the workers are; values in their order. Raises as ``values``."""
    tasks = [Task(f"{label}-{i}", f"{label} {i + 1}", work, one) for i, one in enumerate(given)]
    return values(workers.run(tasks, on_outcome), tasks)


def share_out(
    workers: Workers, label: str, work: Callable[..., Any], common: Mapping[str, Any], parts: Sequence[Any]
) -> list[Any]:
    """``work(parts=some, **common)``, which gives a value for each, of a few shares for each worker; the values in the
    order of ``parts``. Raises as ``values``.
    """
    count = min(SHARES * workers.count, len(parts))
    given = [{**common, "parts": list(parts[i::count])} for i in range(count)]
    results: list[Any] = [None] * len(parts)
    for i, share in enumerate(each(workers, label, work, given, lambda outcome: None)):
        results[i::count] = share
    return results
