"""Rows for people."""

import io
from collections.abc import Callable

from rich.console import Console

from compress.ledger.view import Listing, RowView
from compress.results.measurement import Measurement

Make = Callable[..., Measurement]


def text(shown: Listing | RowView) -> str:
    printed = io.StringIO()
    Console(width=110, file=printed).print(shown.table())
    return printed.getvalue()


def test_a_listing_tells_what_is_not_shown(make: Make) -> None:
    row = make(target="x86", bytes=8_610_000, latency_p50_ms=40.39, lpips=0.15446)
    printed = text(Listing("here", 100, [row.row(), make().row()]))
    assert f"{row.id[:8]} 2026-11-23T12:00 int8_sr onnx-int8 x86" in " ".join(printed.split())
    assert "8.61 40.4 24.100 0.1545" in " ".join(printed.split())
    assert "2 of 100 rows, newest first; here" in printed


def test_a_row_tells_every_field(make: Make) -> None:
    busy = [{"name": "chrome", "cores": 1.3}, {"name": "tar", "cores": 0.4}]
    row = make(machine={"cpu": "x", "features": ["avx2", "fma"], "busy": busy}).row()
    printed = " ".join(text(RowView(row)).split())
    assert all(name in printed for name in row.to_json())
    assert (
        "versions torch 2.13" in printed
        and "features avx2 fma" in printed
        and "busy (name chrome, cores 1.3) (name tar, cores 0.4)" in printed
        and "pictures scores of 1" in printed
    )


def test_a_row_of_a_busy_machine_is_marked(make: Make) -> None:
    busy = {"cpu": "x", "busy": [{"name": "chrome", "cores": 1.3}]}
    rows = [make(machine=machine, latency_p50_ms=409.0).row() for machine in (busy, {}, {"busy": "an older release's"})]
    shown = text(Listing("here", 3, rows))
    assert shown.count("409.0*") == 1 and shown.count("409.0") == 3
    assert "* measured on a busy machine: `compress ledger show ROW` says what else ran" in shown
