"""What was tried when goals were missed, as a table of the page."""

from typing import Any

from compress.report.rows import Results, listed
from compress.report.sheets import Cell, Sheet, words
from compress.report.text import number


def fallback(results: Results) -> Sheet | None:
    """One row a step, in the order tried; None where the recipe has no fallback or needed none."""
    tried = listed(results, "fallback")
    headings = [("Step", ""), ("Changed", ""), ("Missed before", "goals"), ("Missed after", "goals"), ("Time", "s")]
    caption = "Steps tried since goals were missed; each stands on those that were kept"
    return Sheet(caption, [*headings, ("", "")], [_row(entry) for entry in tried]) if tried else None


def _row(entry: Any) -> list[Cell]:
    if "skipped" in entry:
        return [Cell(str(entry["step"])), words(entry["skipped"]), *[words(None)] * 3, Cell("not tried", "words")]
    before, after = (len(entry[key]) for key in ("missed_before", "missed_after"))
    verdict = "kept" if entry["kept"] else "dropped"
    return [
        Cell(str(entry["step"])),
        words(entry["changed"]),
        Cell(str(before)),
        Cell(str(after)),
        Cell(number(entry["seconds"], 1)),
        Cell(verdict, "words"),
    ]
