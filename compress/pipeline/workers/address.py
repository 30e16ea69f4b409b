"""Which workers an address means."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from compress.pipeline.workers.base import Workers
from compress.pipeline.workers.in_process import InProcess

Facts = Mapping[str, str]


def open_workers(
    address: str | None, facts: Callable[[], Facts] = dict, devices: Sequence[str] = (), cpus: int | None = None
) -> Workers:
    """The workers of ``address``. None: this process; "local": a Ray of this machine's own, with ``cpus`` cores and
    the ``devices`` declared; anything else: a running Ray's host:port, or "auto" for the one of this machine.

    ``facts``: what must be the same on every node (versions by package). Raises Unavailable where Ray is not installed
    or not there, InputError where a node differs.
    """
    if address is None:
        return InProcess()
    from compress.pipeline.workers.on_ray import OnRay

    return OnRay(address, facts, devices, cpus)


@contextmanager
def workers_at(
    address: str | None, facts: Callable[[], Facts] = dict, devices: Sequence[str] = ()
) -> Iterator[Workers]:
    """``open_workers``'s, closed at the end."""
    workers = open_workers(address, facts, devices)
    try:
        yield workers
    finally:
        workers.close()
