"""Write README's table of results from a bundle that the README's first command made.

    python docs/make_tables.py runs/int8_sr

Keeps what the table is made of as docs/results/int8_sr.json (results.json without the figures of single pictures and
layers), and replaces the table in README.md. tests/test_docs.py compares the two.
"""

import io
import json
import re
import sys
from pathlib import Path

from rich.console import Console

from compress.bundle.open import open_bundle
from compress.pipeline.result import ApplyResult
from compress.results.document import Results

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
KEPT = DOCS / "results" / "int8_sr.json"
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


def main() -> None:
    keep(open_bundle(Path(sys.argv[1])).results())
    README.write_text(BLOCK.sub(lambda _: table(), README.read_text()))


if __name__ == "__main__":
    main()
