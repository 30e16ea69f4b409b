"""The default worker: one task after the other, here."""

from collections.abc import Sequence

from compress.pipeline.workers.base import OnOutcome, Outcome, Task, Tick, perform


class InProcess:
    """Tasks in their order; each comes after those that it needs."""

    count = 1

    def run(self, tasks: Sequence[Task], on_outcome: OnOutcome, tick: Tick = lambda: None) -> dict[str, Outcome]:
        """See ``Workers.run``."""
        outcomes: dict[str, Outcome] = {}
        for task in tasks:
            tick()
            outcomes[task.key] = perform(task, [outcomes[key] for key in task.after if key in outcomes])
            on_outcome(outcomes[task.key])
        return outcomes

    def close(self) -> None:
        """Nothing was opened."""
