"""What else runs: a process that works is named, one that sleeps is not."""

import subprocess
import sys

from compress.measure.busy import busy_processes


def test_a_process_that_works_is_named() -> None:
    code = "import ctypes; ctypes.CDLL(None).prctl(15, b'busy-bee', 0, 0, 0)\nprint(flush=True)\nwhile True: pass"
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        assert worker.stdout is not None
        worker.stdout.readline()
        # On a machine with much else to do it may get less than a tenth of a core now and then.
        rounds = [busy_processes()]
        while len(rounds) < 20 and not any(found["name"] == "busy-bee" for found in rounds[-1]):
            rounds.append(busy_processes())
    finally:
        worker.kill()
        sleeper.kill()
    names = [found["name"] for each in rounds for found in each]
    assert "busy-bee" in names
    assert "sleep" not in names
    assert all(found == sorted(found, key=lambda f: -f["cores"]) for found in rounds)
