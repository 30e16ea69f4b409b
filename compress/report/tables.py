"""The tables of the results: on the terminal, and as Markdown. At most 110 columns wide with the usual names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.report.gaps import unjudged
from compress.report.rows import Row, against_best_float, against_fp32, datasets, rows, targets
from compress.report.text import (
    bound_on_cpu,
    goal_figure,
    goal_state,
    megabytes,
    milliseconds,
    number,
    percent,
)
from compress.results.machine import busy_notes
from compress.results.performance import Speedup
from compress.results.quality import Quality
from compress.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from compress.results.document import Results
    from compress.results.goal import Goal

HEADINGS = (
    "artifact", "MB", "% of fp32", "PSNR dB", "drop", "LPIPS", "rise",
    "fidelity dB", "shift", "p50 ms", "speedup vs fp32", "goals",
)  # fmt: skip


def results_table(results: Results) -> Table:
    """One row an artifact: size, quality on the first data set against fp32, latency, speedup, goals.

    Sizes in MB (1,000,000 bytes), shift in 1/255, latencies in ms; "-" where nothing was measured.
    """
    title, caption = _about(results)
    table = _table(title, caption)
    for index, heading in enumerate(HEADINGS):
        # Only the names may fold: a figure cut short would be another figure.
        stacked = heading.replace(" of ", " of\n") if " of " in heading else heading.replace(" ", "\n", 1)
        table.add_column(stacked, justify="right" if index else "left", no_wrap=index > 0, overflow="fold")
    for row in rows(results):
        table.add_row(*_texts(_figures(row)), style="bold" if row.artifact.precision in ("int8", "weights") else "")
    return table


def goals_table(goals: Sequence[Goal]) -> Table:
    """One row a goal: goal, artifact, data set, bound, value, and met, MISSED or not measured."""
    table = _table("goals", [])
    for heading in ("goal", "artifact", "data set", "bound", "value", ""):
        right = heading in ("bound", "value")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for goal in goals:
        state = goal_state(goal)
        bound, value = bound_on_cpu(goal), goal_figure(goal.goal, goal.value)
        cells = [goal.goal, goal.artifact or "-", goal.dataset or "-", bound, value, state]
        table.add_row(*_texts(cells), style="" if state == "met" else "bold red")
    return table


def _figures(row: Row) -> list[str]:
    quality = row.quality or Quality(artifact=row.id, dataset="")
    return [
        row.id,
        megabytes(row.artifact.bytes),
        percent(row.artifact.size_ratio),
        number(quality.psnr_db, 2),
        number(quality.psnr_drop_db, 3, sign=True),
        number(quality.lpips, 4),
        number(quality.lpips_rise, 4, sign=True),
        number(quality.fidelity_db, 1),
        number(quality.color_shift_vs_fp32, 2),
        milliseconds(row.p50_ms) + ("*" if row.performance and row.performance.busy else ""),
        number((against_fp32(row.performance) or Speedup()).value, 2, unit="x"),
        row.verdict or "-",
    ]


def _about(results: Results) -> tuple[str, list[str]]:
    """Title, and the lines of the caption."""
    sets, devices = datasets(results), targets(results)
    quality = f"quality on {sets[0]} (n = {number(results.quality[0].n, 0)})" if sets else "quality not measured"
    speed = f"speed on {', '.join(devices)}" if devices else "speed not measured"
    about = f"{quality}, {speed}; drop, rise and shift against fp32"
    notes = busy_notes(entry.busy for entry in results.performance)
    without = [f"no goals for {gap.subject}: {gap.why}" for gap in unjudged(results)]
    return f"{results.name} ({results.task})", [about, *_against_bf16(results), *without, *notes]


def _against_bf16(results: Results) -> list[str]:
    """What a float model computed in bfloat16 takes, where that is the fastest float of all."""
    lines = []
    for row in results.performance:
        best = against_best_float(row)
        if best and best.computed_in:
            ratio = number(best.value, 2, unit="x")
            lines.append(
                f"{row.artifact} on {row.target}: {ratio} against {best.artifact} computed in {best.computed_in}"
            )
    return lines


def _table(title: str, caption: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    lines = Text("\n".join(map(printable, caption)))
    return Table(title=Text(printable(title)), caption=lines, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)


def _texts(cells: list[str]) -> list:
    from rich.text import Text

    return [
        Text(printable(cell), style={"met": "green"}.get(cell, "red" if cell.endswith("missed") else ""))
        for cell in cells
    ]
