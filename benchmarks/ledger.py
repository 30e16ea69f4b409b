"""How long a ledger of 100,000 rows takes to list, filter and search: ``python benchmarks/ledger.py [ROWS]``.

Rows are made up; each with 24 pictures' scores, like a real one. Each figure is the best of five.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from compress.ledger import Filter, Ledger, open_ledger
from compress.ledger.pareto import pareto
from compress.results.measurement import Measurement

TARGETS, TASKS, RECIPES = 5, 4, 40
CHUNK = 5000
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int) -> Iterator[Measurement]:
    """Made-up measurements, a minute apart."""
    for i in range(count):
        yield Measurement.model_validate(
            {
                "created": (START + timedelta(minutes=i)).isoformat(),
                "run": f"{i // 10:032x}",
                "command": "apply",
                "recipe": f"recipe{i % RECIPES}",
                "task": f"task{i % TASKS}",
                "artifact": f"artifact{i % 10}",
                "format": "onnx",
                "precision": "int8",
                "image_size": 256,
                "target": f"target{i % TARGETS}",
                "dataset": "photos_validation",
                "evidence": "measured",
                **{f"{name}_sha256": f"{i:064x}" for name in ("artifact", "files", "weights", "recipe")},
                "bytes": 8_000_000 + i * 7919 % 1_000_000,
                "macs": 10**9,
                "latency_p50_ms": 100 + i * 104729 % 10_007 / 100,
                "psnr_db": 24 + i * 1299709 % 1009 / 1000,
                "lpips": 0.15,
                "versions": {"torch": "2.13.0"},
                "machine": {"cpu": "a CPU", "cores": 8},
                "pictures": [{"name": f"{n}.png", "psnr_db": 24.0 + n / 24, "ssim": 0.7} for n in range(24)],
            }
        )


def best(work: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """Seconds of the quickest of some runs: passed, and of a CPU, which tells how busy the machine was."""
    result = []
    for _ in range(times):
        began = (time.perf_counter(), *os.times()[:4])
        work()
        passed, *cpu = (now - before for now, before in zip((time.perf_counter(), *os.times()[:4]), began, strict=True))
        result.append((passed, sum(cpu)))
    return min(result)


def command(*args: str) -> Callable[[], object]:
    """A command in a process of its own, start included."""
    return lambda: subprocess.run([sys.executable, "-m", "compress", "ledger", *args], capture_output=True, check=True)


def queries(ledger: Ledger) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    one = Filter(target="target3", recipe="recipe3")
    since = Filter(since=(START + timedelta(days=30)).isoformat(), task="task1")
    return {
        "newest 50": lambda: (ledger.count(), ledger.rows(limit=50)),
        "newest 50 of a target": lambda: (ledger.count(Filter(target="target3")), ledger.rows(one, 50)),
        "newest 50 of a task since a day": lambda: (ledger.count(since), ledger.rows(since, 50)),
        "newest 50 of target and recipe": lambda: (ledger.count(one), ledger.rows(one, 50)),
        "pareto of a target": lambda: pareto(ledger, "latency_p50_ms", "psnr_db", Filter(target="target3")),
        "pareto of everything": lambda: pareto(ledger, "latency_p50_ms", "psnr_db", Filter()),
        "compress ledger ls": command("ls"),
        "compress ledger ls --target": command("ls", "--target", "target3"),
        "compress ledger ls --target --json": command("ls", "--target", "target3", "--json"),
    }


def main() -> None:
    """Fill a ledger in a temporary folder and time it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        os.environ["COMPRESS_LEDGER_URL"] = f"sqlite:///{path}"
        ledger = open_ledger()
        began = time.perf_counter()
        made = rows(count)
        while some := list(islice(made, CHUNK)):
            ledger.append(some)
        print(f"{ledger.count()} rows appended in {time.perf_counter() - began:.0f} s")
        for name, work in queries(ledger).items():
            passed, cpu = best(work)
            print(f"{name:36} {passed:.3f} s, {cpu:.2f} s of a CPU")
        print(f"{'file':36} {sum(p.stat().st_size for p in path.parent.iterdir()) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
