"""What Arm's compiler Vela estimated of a program for an Ethos-U: the .json beside it holds what Vela wrote."""

from collections.abc import Mapping
from pathlib import Path

from compress.files import read_plain
from compress.results.json_text import parse_json
from compress.results.performance import Estimate

VELA = "vela"
MEMORIES = ("sram", "dram", "on_chip_flash", "off_chip_flash")
MOST_ABOUT = 100_000  # bytes


def vela_estimate(program: Path) -> Estimate | None:
    """Cycles of one inference, KiB of each memory that it takes, and bytes that are read and written there.

    None where Vela said nothing of the program, which it does not of several graphs in one, and for what is no summary
    of Vela's: the file may be a stranger's.
    """
    try:
        summary = parse_json(parse_json(read_plain(program.with_suffix(".json"), MOST_ABOUT))[VELA])
        return _estimate(summary) if summary else None
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return None


def _estimate(summary: Mapping[str, str]) -> Estimate:
    def numbers(suffix: str) -> dict[str, float]:
        values = {name: float(summary.get(f"{name}{suffix}") or 0) for name in MEMORIES}
        return {name: value for name, value in values.items() if value}

    return Estimate(
        compiler=f"Vela, {summary['system_config']}, {summary['memory_mode']}",
        latency_ms=1000 * float(summary["inference_time"]),
        frequency_mhz=float(summary["core_clock"]) / 1e6,
        cycles=int(float(summary["cycles_total"])),
        memory_kib=numbers("_memory_used"),
        traffic_bytes=numbers("_total_bytes"),
    )
