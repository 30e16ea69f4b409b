"""Rows of the ledger for a terminal and as JSON."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from compress.results.measurement import Row

COLUMNS = {  # heading -> (field, format)
    "row": ("id", "{:.8}"),
    "measured": ("created", "{:.16}"),
    "recipe": ("recipe", "{}"),
    "artifact": ("artifact", "{}"),
    "target": ("target", "{}"),
    "data set": ("dataset", "{}"),
    "MB": ("bytes", "{:.2f}"),
    "p50 ms": ("latency_p50_ms", "{:.1f}"),
    "PSNR dB": ("psnr_db", "{:.3f}"),
    "LPIPS": ("lpips", "{:.4f}"),
}

BUSY = "* measured on a busy machine: `compress ledger show ROW` says what else ran"


@dataclass(frozen=True)
class Listing:
    """Some of the rows that a filter lets through, newest first, of ``total``."""

    place: str
    total: int
    rows: "list[Row]"

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {"ledger": self.place, "total": self.total, "rows": [row.to_json() for row in self.rows]}

    def table(self) -> "Table":
        """One line a row."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        lines = [f"{len(self.rows)} of {self.total} rows, newest first; {self.place}"]
        if any(row.busy for row in self.rows):
            lines.append(BUSY)
        caption = Text("\n".join(lines))
        table = Table(caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
        for heading in COLUMNS:
            right = heading in ("MB", "p50 ms", "PSNR dB", "LPIPS")
            whole = right or heading in ("row", "measured")
            table.add_column(heading, justify="right" if right else "left", no_wrap=whole, overflow="fold")
        for row in self.rows:
            values = {field: getattr(row, field) for field, _ in COLUMNS.values()} | {"bytes": row.bytes / 1e6}
            cells = {heading: _cell(values[field], form) for heading, (field, form) in COLUMNS.items()}
            cells["p50 ms"] += "*" if row.busy else ""
            table.add_row(*map(Text, map(printable, cells.values())))
        return table


@dataclass(frozen=True)
class RowView:
    """One row, every field."""

    row: "Row"

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return self.row.to_json()

    def table(self) -> "Table":
        """One line a field; of the pictures, how many there are."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_header=False)
        for name, value in self.row.to_json().items():
            text = f"scores of {len(value or ())}" if name == "pictures" else _flat(value)
            table.add_row(Text(name), Text(printable(text)))
        return table


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(f"({_flat(item)})" if isinstance(item, dict) else str(item) for item in value)
    return _cell(value, "{}")
