"""What else runs: a process that works is named, one that sleeps is not."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from compress.measure import busy
from compress.measure.busy import busy_processes


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


def test_a_process_that_works_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a machine with much else to do it gets less than the tenth of a core that counts otherwise.
    monkeypatch.setattr(busy, "LEAST", 0.01)
    with process("busy-bee", "while True: pass"), process("sleepy-bee", "time.sleep(600)"):
        busy_processes()  # as long as the one that sleeps may still be on its way to it
        rounds = [busy_processes()]
        while len(rounds) < 20 and not any(entry.name == "busy-bee" for entry in rounds[-1]):
            rounds.append(busy_processes())
    names = [entry.name for each in rounds for entry in each]
    assert "busy-bee" in names
    assert "sleepy-bee" not in names
    assert all(entries == sorted(entries, key=lambda f: -f.cores) for entries in rounds)
    assert all(entry.cores >= 0.01 for each in rounds for entry in each)
