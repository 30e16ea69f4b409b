"""What Arm's compiler Vela estimated of a program for an Ethos-U: the .json beside it holds what Vela wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VELA = "vela"
MEMORIES = {"sram": "sram", "dram": "dram", "on_chip_flash": "on_chip_flash", "off_chip_flash": "off_chip_flash"}


def vela_estimate(program: Path) -> dict[str, Any] | None:
    """Fields of results.json's ``Estimate``; None where Vela said nothing of the program, which it does not of several
    graphs in one.

    Cycles of one inference, KiB of each memory that it takes, and bytes that are read and written there.
    """
    try:
        summary = json.loads(json.loads(program.with_suffix(".json").read_text(encoding="utf-8"))[VELA])
        return _fields(summary) if summary else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _fields(summary: Mapping[str, str]) -> dict[str, Any]:
    def numbers(suffix: str) -> dict[str, float]:
        values = {name: float(summary.get(f"{name}{suffix}") or 0) for name in MEMORIES}
        return {name: value for name, value in values.items() if value}

    return {
        "compiler": f"Vela, {summary['system_config']}, {summary['memory_mode']}",
        "latency_ms": 1000 * float(summary["inference_time"]),
        "frequency_mhz": float(summary["core_clock"]) / 1e6,
        "cycles": int(float(summary["cycles_total"])),
        "memory_kib": numbers("_memory_used"),
        "traffic_bytes": numbers("_total_bytes"),
    }
