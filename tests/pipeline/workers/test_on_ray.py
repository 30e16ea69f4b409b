"""Two real Ray nodes on this machine: order, devices, a killed node, a node that differs."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.pipeline.workers import Outcome, Task, open_workers
from compress.pipeline.workers.base import ALL
from compress.pipeline.workers.on_ray import SETTINGS, OnRay, different

pytestmark = pytest.mark.slow
os.environ |= SETTINGS
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
PATIENCE_S = 300  # for what comes soon, where every core is busy


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Of one node, with a device; each test adds a second one: see ``second``."""
    from ray.cluster_utils import Cluster

    head = {**NODE, "resources": {"device:one": 1}, "include_dashboard": False}
    result = Cluster(initialize_head=True, head_node_args=head)
    yield result
    result.shutdown()


@pytest.fixture()
def second(cluster: Any) -> Iterator[Callable[..., Any]]:
    """(settings) -> a node that the cluster has as long as the test, unless the test removes it."""
    added: list[Any] = []

    def add(**settings: Any) -> Any:
        added.append(cluster.add_node(**NODE, **settings))
        cluster.wait_for_nodes(PATIENCE_S)
        return added[-1]

    yield add
    for node in added:
        if node in cluster.worker_nodes:
            cluster.remove_node(node)
    cluster.wait_for_nodes(PATIENCE_S)


@pytest.fixture()
def engine(cluster: Any) -> Iterator[OnRay]:
    opened = open_workers(cluster.address)
    assert isinstance(opened, OnRay)
    yield opened
    opened.close()


def note(folder: str, name: str, until: str | None) -> str:
    """Run for a while, or until the file ``until`` is there; leave a line at the beginning and one at the end."""
    (Path(folder) / f"{name}-{os.getpid()}").touch()
    with (Path(folder) / "log").open("a") as log:
        log.write(f"{name} begins\n")
    time.sleep(0.2)
    deadline = time.monotonic() + PATIENCE_S
    while until and not (Path(folder) / until).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with (Path(folder) / "log").open("a") as log:
        log.write(f"{name} ends\n")
    return name


def task(folder: Path, name: str, until: str | None = None, after: tuple[str, ...] = (), **placed: Any) -> Task:
    return Task(name, name, note, {"folder": str(folder), "name": name, "until": until}, after, **placed)


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def alive(pid: str) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # of a process that waits to be reaped it is empty
    except OSError:
        return False


def test_order_devices_and_whole_nodes(engine: OnRay, second: Callable[..., Any], tmp_path: Path) -> None:
    second()
    assert engine.count == 2
    messages: list[Outcome] = []
    tasks = [
        task(tmp_path, "first"),
        task(tmp_path, "second", after=("first",)),
        task(tmp_path, "a", device="one", cpus=ALL),
        task(tmp_path, "b", device="one", cpus=ALL),
    ]
    outcomes = engine.run(tasks, messages.append)
    assert {key: o.value for key, o in outcomes.items()} == {name: name for name in ("first", "second", "a", "b")}
    assert sorted(o.key for o in messages) == ["a", "b", "first", "second"]
    lines = log(tmp_path)
    assert lines.index("first ends") < lines.index("second begins")
    # One at a time on a device: neither begins inside the other.
    inside = [line for line in lines if line[0] in "ab"]
    assert [line.split()[1] for line in inside] == ["begins", "ends", "begins", "ends"]
    with pytest.raises(InputError, match=r"^target far: no Ray node declares it: .*device:far"):
        engine.run([task(tmp_path, "c", device="far", remote=True)], messages.append)


def test_a_killed_nodes_task_runs_again_elsewhere(
    engine: OnRay, cluster: Any, second: Callable[..., Any], tmp_path: Path
) -> None:
    node = second()
    killed: list[str] = []

    def kill() -> None:
        begun = [line.split()[0] for line in log(tmp_path)] if (tmp_path / "log").exists() else []
        if not killed and {"long0", "long1"} <= set(begun):
            cluster.remove_node(node, allow_graceful=False)
            killed.append("second")
            # The node's worker outlives it by a moment, in which it could end its task.
            pids = [path.name.rpartition("-")[2] for path in tmp_path.glob("long*-*")]
            deadline = time.monotonic() + PATIENCE_S
            while all(map(alive, pids)) and time.monotonic() < deadline:
                time.sleep(0.05)
            (tmp_path / "killed").touch()

    outcomes = engine.run([task(tmp_path, f"long{i}", until="killed") for i in range(2)], lambda o: None, kill)
    assert killed == ["second"]
    assert [o.value for o in outcomes.values()] == ["long0", "long1"]
    begun = [line for line in log(tmp_path) if line.endswith("begins")]
    assert len(begun) == 3  # the killed one twice, the other not


def test_a_node_that_differs_is_named() -> None:
    here, there = {"python": "3.11.7", "torch": "2.13.0"}, {"python": "3.11.7", "torch": "2.12.0"}
    (line,) = different("worker-2 (86c9aeb4)", here, there)
    assert line == ("node worker-2 (86c9aeb4): has torch 2.12.0, this machine 2.13.0: install the same on every node")
    assert different("n", here, here) == []
    assert "has torch not installed" in different("n", here, {"python": "3.11.7"})[0]


def _facts() -> dict[str, str]:
    return {"python": "3.11", "torch": os.environ.get("OTHER_TORCH", "2.13.0")}


def test_mixed_nodes_are_refused(cluster: Any, second: Callable[..., Any]) -> None:
    second(env_vars={"OTHER_TORCH": "2.12.0"})
    with pytest.raises(InputError, match=r"^node \S+ \(\w{8}\): has torch 2\.12\.0, this machine 2\.13\.0"):
        open_workers(cluster.address, _facts)
