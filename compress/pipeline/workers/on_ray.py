"""Tasks on Ray: it places them, keeps their order, and repeats those whose worker or node died."""

import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compress.errors import CompressError, InputError, Unavailable
from compress.pipeline.workers.base import ALL, OnOutcome, Outcome, Task, Tick, perform
from compress.python_process import python_environment
from compress.recipe.library import data_folder
from compress.text import install_extra

RETRIES = 3
TICK_S = 2.0
REACH_S = 5.0
STORE_BYTES = 200_000_000  # results are small: tensors and pictures go through the artifact store
PREFIX = "device:"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_raylet_start_wait_time_s": "300",  # 30 are too few where every core is busy
}


class OnRay:
    """A Ray of this machine's own (address "local"), or a running one; see ``open_workers``."""

    def __init__(
        self, address: str, facts: Callable[[], Mapping[str, str]], devices: Sequence[str], cpus: int | None
    ) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError:
            raise Unavailable(f"--address: Ray is not installed: {install_extra('ray')}") from None
        self.ray = ray
        # Ray has its workers look for modules in the folder that it is started in: one without any.
        os.environ.update(python_environment())
        with contextlib.chdir(data_folder("weights")):
            _connect(ray, address, devices, cpus)
        try:
            self._same_everywhere(facts)
        except BaseException:
            self.close()
            raise

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """Ray's nodes that live."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    @property
    def count(self) -> int:
        return max(1, int(sum(node["Resources"].get("CPU", 0) for node in self.nodes)))

    def run(self, tasks: Sequence[Task], on_outcome: OnOutcome, tick: Tick = lambda: None) -> dict[str, Outcome]:
        """See ``Workers.run``. Interrupted, it cancels what has not ended."""
        references: dict[str, Any] = {}
        for task in tasks:
            needs = [references[key] for key in task.after if key in references]
            references[task.key] = self._submit(task, needs)
        keys = {reference: key for key, reference in references.items()}
        labels = {task.key: task.label for task in tasks}
        outcomes: dict[str, Outcome] = {}
        waiting = list(keys)
        try:
            while waiting:
                ended, waiting = self.ray.wait(waiting, num_returns=len(waiting), timeout=TICK_S)
                for reference in ended:
                    key = keys[reference]
                    outcomes[key] = self._outcome(key, labels[key], reference)
                    on_outcome(outcomes[key])
                tick()
        except BaseException:
            for reference in waiting:
                with contextlib.suppress(Exception):
                    self.ray.cancel(reference, force=True)
            raise
        return outcomes

    def close(self) -> None:
        """Leave Ray; one of this machine's own ends."""
        self.ray.shutdown()

    def _submit(self, task: Task, needs: list[Any]) -> Any:
        remote = self.ray.remote(max_retries=RETRIES, retry_exceptions=False, num_cpus=1)(_perform)
        options: dict[str, Any] = {"num_cpus": task.cpus, "name": task.label}
        holders = [n for n in self.nodes if f"{PREFIX}{task.device}" in n["Resources"]] if task.device else []
        if holders:
            options["resources"] = {f"{PREFIX}{task.device}": 1}
        elif task.remote:
            raise InputError(
                f"target {task.device}: no Ray node declares it: start the node that reaches it with "
                f"ray start --resources='{{\"{PREFIX}{task.device}\": 1}}'"
            )
        largest = max(node["Resources"].get("CPU", 0) for node in holders or self.nodes)
        if task.cpus > largest:
            raise InputError(f"cpus: {task.cpus} cores for a unit, the largest Ray node has {largest:.0f}: lower cpus")
        if task.cpus == ALL:
            # Only the largest of them: figures of unlike nodes cannot be compared.
            options["num_cpus"] = largest
        return remote.options(**options).remote(os.getcwd(), task, *needs)

    def _outcome(self, key: str, label: str, reference: Any) -> Outcome:
        try:
            outcome: Outcome = self.ray.get(reference)
            return outcome
        except self.ray.exceptions.RayError as error:
            why = next(iter(str(error).strip().splitlines()), type(error).__name__)
            message = f"{label}: its worker or node died {RETRIES + 1} times ({why})"
            return Outcome(key, "failed", message=message, exit_code=CompressError.exit_code)

    def _same_everywhere(self, facts: Callable[[], Mapping[str, str]]) -> None:
        """Raise InputError when a node's facts are not this process's."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ask: Any = self.ray.remote(num_cpus=0)(_ask)
        here, nodes = facts(), self.nodes
        asked = [
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(facts)
            for node in nodes
        ]
        lines = []
        for node, reference in zip(nodes, asked, strict=True):
            name = f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"
            try:
                lines += different(name, here, self.ray.get(reference))
            except self.ray.exceptions.RayError as error:
                why = " ".join(str(error).strip().splitlines()[-1:])
                lines.append(f"node {name}: cannot run this package ({why}): install it there as here")
        if lines:
            raise InputError(*lines)


def different(node: str, here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """One line for each fact of a node that is not as here."""
    return [
        f"node {node}: has {name} {there.get(name, 'not installed')}, this machine {here.get(name, 'not installed')}: "
        "install the same on every node"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]


def _ask(facts: Callable[[], Mapping[str, str]]) -> dict[str, str]:
    return dict(facts())


def _perform(folder: str, task: Task, *needs: Outcome) -> Outcome:
    # Relative paths of a recipe are the caller's, where the node shares its folders.
    with contextlib.suppress(OSError):
        os.chdir(folder)
    return perform(task, needs)


def _connect(ray: Any, address: str, devices: Sequence[str], cpus: int | None) -> None:
    common = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address == "local":
            resources = {f"{PREFIX}{name}": 1 for name in devices}
            own = {"num_cpus": cpus, "resources": resources, "object_store_memory": STORE_BYTES}
            ray.init(address="local", **own, **common)
            return
        _reachable(address)
        ray.init(address=address, **common)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise Unavailable(
            f"--address {address}: no Ray answers there ({why}): start one with `ray start --head`, "
            "set RAY_AUTH_MODE=token where it asks for a token, or leave --address out"
        ) from None


def _reachable(address: str) -> None:
    """Raise OSError at once where nobody listens: Ray itself would try for half a minute."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()
    elif address != "auto":
        raise ValueError("not host:port, local or auto")
