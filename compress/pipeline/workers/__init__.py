"""Independent pieces of work, run in this process, on a local Ray, or on a cluster."""

from compress.pipeline.workers.address import open_workers, workers_at
from compress.pipeline.workers.base import SHARES, Outcome, Task, Workers, each, share_out, values
from compress.pipeline.workers.shared_files import SharedFiles, scratch, shared_files
from compress.pipeline.workers.store import Store

__all__ = [
    "SHARES",
    "Outcome",
    "SharedFiles",
    "Store",
    "Task",
    "Workers",
    "each",
    "open_workers",
    "scratch",
    "share_out",
    "shared_files",
    "values",
    "workers_at",
]
