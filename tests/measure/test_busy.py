"""What else runs: a process that works is named, one that sleeps is not."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from compress.measure import busy
from compress.measure.busy import OtherWork
from compress.results.machine import BusyProcess


@contextmanager
def process(name: str, then: str) -> Iterator[None]:
    """A process that is called ``name`` and does ``then``."""
    code = f"import ctypes, time; ctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)\nprint(flush=True)\n{then}"
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert started.stdout is not None
        started.stdout.readline()
        yield
    finally:
        started.kill()
        started.communicate()


def processes(enough: Callable[[list[BusyProcess]], bool]) -> list[BusyProcess]:
    """Those of a measurement that ends when ``enough`` of them."""
    others = OtherWork()
    for _ in range(40):
        time.sleep(0.3)
        if enough(found := others.processes()):
            break
    return found


def test_a_process_that_works_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a machine with much else to do it gets less than the tenth of a core that counts otherwise.
    monkeypatch.setattr(busy, "LEAST", 0.01)
    with process("busy-bee", "while True: pass"), process("sleepy-bee", "time.sleep(600)"):
        time.sleep(0.3)  # as long as the one that sleeps may still be on its way to it
        found = processes(lambda found: any(entry.name == "busy-bee" for entry in found))
    names = [entry.name for entry in found]
    assert "busy-bee" in names
    assert "sleepy-bee" not in names
    assert found == sorted(found, key=lambda entry: -entry.cores)
    assert all(entry.cores >= 0.01 for entry in found)


def test_one_that_begins_during_the_measurement_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, only what ran just before was seen."""
    monkeypatch.setattr(busy, "LEAST", 0.01)
    others = OtherWork()
    with process("late-bee", "while True: pass"):
        for _ in range(40):
            time.sleep(0.3)
            if any(entry.name == "late-bee" for entry in others.processes()):
                return
    raise AssertionError([entry.name for entry in others.processes()])


def test_one_that_ended_before_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler starts a process for every file, and none of them is there at the end."""
    monkeypatch.setattr(busy, "LEAST", 0.01)
    others, began = OtherWork(), time.monotonic()
    spin = "import time\nwhile time.process_time() < 1.5: pass"
    # Not a child of this process, whose work would be its own.
    run = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {spin!r}])"
    builder = f"{run}; print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", builder], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"\n"
        seconds = {entry.name: entry.cores * (time.monotonic() - began) for entry in others.processes()}
        started.kill()
    assert seconds.get(busy.ENDED, 0) > 1
