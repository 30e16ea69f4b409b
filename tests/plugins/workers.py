"""Two workers, and what they share."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

WORKERS = 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """What ``-n auto`` means: no worker for tests named one by one, which would wait longer for it than they run."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    if config.args and all("::" in argument for argument in config.args):
        return 0
    return min(WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], Any]], tuple[Path, Any]]:
    """(name, make) -> (folder, value): what ``make(folder)`` wrote and returned, made once for all workers.

    Nobody may change the folder, since other workers read it. ``value`` travels by pickle.
    """
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name: str, make: Callable[[Path], Any]) -> tuple[Path, Any]:
        made, kept = common / f"shared-{name}", common / f"shared-{name}.pickle"
        with FileLock(common / f"shared-{name}.lock"):
            if not kept.exists():
                shutil.rmtree(made, ignore_errors=True)  # of a worker whose ``make`` failed
                made.mkdir()
                value = make(made)
                kept.write_bytes(pickle.dumps(value))
        return made, pickle.loads(kept.read_bytes())

    return get
