"""Independent pieces of work, run in this process, on a local Ray, or on a cluster."""

from compress.engine.base import SHARES, Engine, Outcome, Task, each, share_out, values
from compress.engine.left import Left, scratch
from compress.engine.opening import engine_at, open_engine
from compress.engine.store import Store

__all__ = [
    "SHARES",
    "Engine",
    "Left",
    "Outcome",
    "Store",
    "Task",
    "each",
    "engine_at",
    "open_engine",
    "scratch",
    "share_out",
    "values",
]
