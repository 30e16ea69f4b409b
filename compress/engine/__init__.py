"""Independent pieces of work, run in this process, on a local Ray, or on a cluster."""

from compress.engine.base import Engine, Outcome, Task, each, values
from compress.engine.opening import open_engine
from compress.engine.store import Store

__all__ = ["Engine", "Outcome", "Store", "Task", "each", "open_engine", "values"]
