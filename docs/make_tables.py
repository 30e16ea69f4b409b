"""Write README's table of results, and the table of what others sent in.

    python docs/make_tables.py [runs/int8_sr]

A bundle that the README's first command made is kept, as far as the table shows it, as docs/results/int8_sr.json
(results.json without the figures of single pictures and layers). README.md's table is of that file,
docs/devices_shared.md's of the files in docs/results/shared. tests/test_docs.py compares the pages with the files.
"""

import io
import json
import re
import sys
from pathlib import Path

from rich.console import Console

from compress.bundle.open import open_bundle
from compress.ledger.exchange import read_rows
from compress.pipeline.result import ApplyResult
from compress.results.document import Results
from compress.results.measurement import Measurement

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
KEPT = DOCS / "results" / "int8_sr.json"
SHARED, PAGE = DOCS / "results" / "shared", DOCS / "devices_shared.md"
MARK = "<!-- made by docs/make_tables.py -->\n"
COLUMNS = ("machine", "cores", "target", "artifact", "p50 ms", "against fp32", "drop dB", "day", "by")
FEATURES = ("amx_int8", "avx512_vnni", "avx_vnni", "avx2", "i8mm", "dotprod")
"""Instruction sets that decide how fast int8 is, the best first."""
WIDTH = 110
BLOCK = re.compile(r"(?<=The command ends with this table:\n\n```\n).*?(?=```\n)", re.DOTALL)


def keep(results: Results) -> None:
    """Write the figures of ``results`` that a table shows."""
    document = results.to_json() | {"layers": [], "samples": []}
    document["machine"]["os"] = "Linux"  # not the kernel's name of one machine
    for entry in document["quality"]:
        entry["pictures"] = []
    KEPT.write_text(json.dumps(document, indent=1) + "\n")


def table() -> str:
    """What `compress apply` printed at the end, without blanks at the ends of lines."""
    results = Results.model_validate_json(KEPT.read_text())
    printed = io.StringIO()
    Console(file=printed, width=WIDTH).print(ApplyResult(Path("runs/int8_sr"), results, reused=False).table())
    return "\n".join(line.rstrip() for line in printed.getvalue().rstrip().splitlines()) + "\n"


def shared_table() -> str:
    """A line for each int8 artifact that somebody timed, by machine and target."""
    rows = [row for path in SHARED.glob("*.json") for row in read_rows(path) if row.precision == "int8"]
    lines = sorted(f"| {' | '.join(_cells(row))} |\n" for row in rows)
    return f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n{''.join(lines)}"


def _cells(row: Measurement) -> list[str]:
    machine, ratio, drop = row.machine, row.speedup_vs_fp32, row.psnr_drop_db
    best = next((feature for feature in FEATURES if feature in machine.get("features", [])), "")
    return [
        " ".join(filter(None, (machine.get("model"), row.cpu, best and f"({best})"))) or "-",
        str(machine.get("cores", "-")),
        row.target or "-",
        row.artifact,
        f"{row.latency_p50_ms:.4g}{'*' if row.busy else ''}",
        "-" if ratio is None else f"{ratio:.2f}x",
        "-" if drop is None else f"{drop:+.3f}",
        row.created[: len("2026-11-30")],
        row.run.removeprefix("shared-"),
    ]


def main() -> None:
    if len(sys.argv) > 1:
        keep(open_bundle(Path(sys.argv[1])).results())
    README.write_text(BLOCK.sub(lambda _: table(), README.read_text()))
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + shared_table())


if __name__ == "__main__":
    main()
