"""The default engine: one task after the other, here."""

from collections.abc import Sequence

from compress.engine.base import Outcome, Task, Tick, Told, perform


class InProcess:
    """Tasks in their order; each comes after those that it needs."""

    workers = 1

    def run(self, tasks: Sequence[Task], told: Told, tick: Tick = lambda: None) -> dict[str, Outcome]:
        """See ``Engine.run``."""
        outcomes: dict[str, Outcome] = {}
        for task in tasks:
            tick()
            outcomes[task.key] = perform(task, [outcomes[key] for key in task.after if key in outcomes])
            told(outcomes[task.key])
        return outcomes

    def close(self) -> None:
        """Nothing was opened."""
