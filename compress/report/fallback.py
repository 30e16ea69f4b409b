"""What was tried when goals were missed, as a table of the page."""

from compress.report.sheets import Cell, Sheet, words
from compress.report.text import number
from compress.results.document import Results
from compress.results.fallback import FallbackStep


def fallback(results: Results) -> Sheet | None:
    """One row a step, in the order tried; None where the recipe has no fallback or needed none."""
    tried = results.fallback
    headings = [("Step", ""), ("Changed", ""), ("Missed before", "goals"), ("Missed after", "goals"), ("Time", "s")]
    caption = "Steps that were tried because goals were missed; each builds on the steps that were kept"
    return Sheet(caption, [*headings, ("", "")], [_row(entry) for entry in tried]) if tried else None


def _row(entry: FallbackStep) -> list[Cell]:
    if entry.skipped is not None:
        return [Cell(entry.step), words(entry.skipped), *[words(None)] * 3, Cell("not tried", "words")]
    return [
        Cell(entry.step),
        words(entry.changed),
        Cell(str(len(entry.missed_before))),
        Cell(str(len(entry.missed_after))),
        Cell(number(entry.seconds, 1)),
        Cell("kept" if entry.kept else "dropped", "words"),
    ]
