"""What an engine costs: short units of a sweep in this process and on Ray; docs/scale.md holds what it printed.

python benchmarks/scale.py           each engine, 100 units that do nothing, 20 that work for half a second
python benchmarks/scale.py --many    1,000 units on two Ray nodes of this machine
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from compress.pipeline.workers import Store, Task, Workers, open_workers
from compress.sweep.record import UnitRecord
from compress.sweep.work import Job, once

BUSY_S = 0.5
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


def unit(job: Job, seconds: float) -> UnitRecord:
    """A unit with all that a sweep's has around its work: its marker, its folder's lock, its record."""

    def work(folder: Path, opened: Store) -> UnitRecord:
        began = time.process_time()
        while time.process_time() - began < seconds:
            pass
        return UnitRecord(bundle=job.key)

    return once(job, work)


def timed(engine: Workers, count: int, seconds: float) -> float:
    """Wall seconds of ``count`` units."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COMPRESS_CACHE"] = f"{folder}/cache"
        names = [f"unit{i}" for i in range(count)]
        jobs = {n: Job(n, n, f"{folder}/store") for n in names}
        tasks = [Task(n, n, unit, {"job": jobs[n], "seconds": seconds}) for n in names]
        began = time.perf_counter()
        outcomes = engine.run(tasks, lambda outcome: None)
        took = time.perf_counter() - began
    assert all(outcome.status == "done" for outcome in outcomes.values())
    return took


def compared() -> None:
    """Nothing, then half a second of work, in process and on one and two workers."""
    print("| engine | ms a unit that does nothing | s for 20 units of 0.5 s |\n|---|---|---|")
    for name, address, cpus in (
        ("in process", None, None),
        ("Ray, 1 worker", "local", 1),
        ("Ray, 2 workers", "local", 2),
    ):
        engine = open_workers(address, cpus=cpus)
        timed(engine, 2 * engine.count, 0.0)  # workers start
        print(f"| {name} | {10 * timed(engine, 100, 0.0):.1f} | {timed(engine, 20, BUSY_S):.1f} |", flush=True)
        engine.close()


def many() -> None:
    """1,000 units of 20 ms on two nodes."""
    from compress.pipeline.workers.on_ray import SETTINGS

    os.environ |= SETTINGS
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    cluster.add_node(**NODE)  # type: ignore[arg-type]
    cluster.wait_for_nodes()
    engine = open_workers(cluster.address)
    took = timed(engine, 1000, 0.02)
    print(f"1,000 units of 20 ms on 2 nodes of a core: {took:.1f} s")
    engine.close()
    cluster.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", action="store_true")
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    many() if parser.parse_args().many else compared()
