"""Which engine an address means."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from compress.engine.base import Engine
from compress.engine.in_process import InProcess

Facts = Mapping[str, str]


def open_engine(
    address: str | None, facts: Callable[[], Facts] = dict, devices: Sequence[str] = (), cpus: int | None = None
) -> Engine:
    """The engine of ``address``. None: this process; "local": a Ray of this machine's own, with ``cpus`` cores and
    the ``devices`` declared; anything else: a running Ray's host:port, or "auto" for the one of this machine.

    ``facts``: what must be the same on every node (versions by package). Raises Unavailable where Ray is not installed
    or not there, InputError where a node differs.
    """
    if address is None:
        return InProcess()
    from compress.engine.on_ray import OnRay

    return OnRay(address, facts, devices, cpus)


@contextmanager
def engine_at(address: str | None, facts: Callable[[], Facts] = dict, devices: Sequence[str] = ()) -> Iterator[Engine]:
    """``open_engine``'s, closed at the end."""
    engine = open_engine(address, facts, devices)
    try:
        yield engine
    finally:
        engine.close()
