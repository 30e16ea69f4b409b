"""Frontiers by device."""

import random
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from compress.errors import VerificationError
from compress.ledger import Filter, Ledger
from compress.ledger.pareto import frontier, pareto
from compress.results.measurement import Measurement

Make = Callable[..., Measurement]


def row(make: Make, name: str, ms: float | None, psnr: float, **changes: Any) -> Measurement:
    file = f"{abs(hash(name)):064x}"[:64]
    fields = {"artifact": name, "target": "x86", "files_sha256": file, "latency_p50_ms": ms, "psnr_db": psnr}
    return make(**{**fields, **changes})


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_frontier_is_what_nothing_beats(higher_is_better: bool) -> None:
    rng = random.Random(0)
    points = [(str(i), float(rng.randint(0, 30)), float(rng.randint(0, 30))) for i in range(200)]

    def beats(a: Any, b: Any) -> bool:
        better = a[2] - b[2] if higher_is_better else b[2] - a[2]
        return a[1] <= b[1] and better >= 0 and (a[1] < b[1] or better > 0)

    wanted = {p[1:] for p in points if not any(beats(q, p) for q in points)}
    by_id = {p[0]: p[1:] for p in points}
    result = [by_id[id] for id in frontier(points, higher_is_better=higher_is_better)]
    assert set(result) == wanted and len(result) == len(wanted)
    assert result == sorted(result)


def test_a_row_without_its_details_is_told(ledger: Ledger, make: Make) -> None:
    ledger.append([row(make, "a", 1.0, 20.0), row(make, "b", 2.0, 30.0)])
    with sqlite3.connect(str(ledger.url.database)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM details WHERE id = (SELECT min(id) FROM details)")
    with pytest.raises(VerificationError, match="damaged: 1 of 2 rows have no details: restore a copy of it"):
        pareto(ledger, "latency_p50_ms", "psnr_db", Filter())


def test_devices_are_apart_and_old_measurements_do_not_count(ledger: Ledger, make: Make) -> None:
    ledger.append(
        [
            row(make, "fast", 1.0, 30.0, created="2026-11-01T00:00:00+00:00", run="old"),
            row(make, "fast", 10.0, 24.0),
            row(make, "good", 20.0, 25.0),
            row(make, "bad", 20.0, 24.5),
            row(make, "fast", 99.0, 24.0, target="arm"),
            row(make, "fast", 50.0, 24.0, cpu="another CPU"),
            row(make, "untimed", None, 26.0),
        ]
    )
    result = pareto(ledger, "latency_p50_ms", "psnr_db", Filter()).to_json()
    shown = [(f["target"], f["cpu"], [p["artifact"] for p in f["points"]], f["dominated"]) for f in result["frontiers"]]
    assert shown == [
        ("arm", None, ["fast"], 0),
        ("x86", None, ["fast", "good"], 1),
        ("x86", "another CPU", ["fast"], 0),
    ]
    assert result["frontiers"][1]["points"][0]["latency_p50_ms"] == 10.0
    assert pareto(ledger, "macs", "lpips", Filter()).frontiers == []


def test_a_point_of_a_busy_machine_is_marked(ledger: Ledger, make: Make) -> None:
    busy = {"cpu": "x", "busy": [{"name": "chrome", "cores": 1.3}]}
    ledger.append([row(make, "slow", 409.0, 25.0, machine=busy), row(make, "fast", 10.0, 24.0)])
    console = Console(width=120)
    with console.capture() as captured:
        console.print(pareto(ledger, "latency_p50_ms", "psnr_db", Filter()).table())
    shown = captured.get()
    assert shown.count("409*") == 1 and shown.count("* measured on a busy machine") == 1 and "10*" not in shown
    with console.capture() as captured:
        console.print(pareto(ledger, "bytes", "psnr_db", Filter()).table())
    assert "*" not in captured.get()
