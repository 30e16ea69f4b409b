"""Rows to a file and back: JSON, CSV, Parquet; what comes back is checked, field by field and by its hash."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress.errors import InputError, VerificationError
from compress.files import read_plain, whole_file
from compress.ledger.share import check_shared
from compress.native_work import native_work
from compress.results.json_text import parse_json
from compress.results.measurement import DETAILS, Measurement, Row
from compress.results.section import first_mistake

Fields = dict[str, Any]
"""A row's fields by name, as a file holds them."""
VERSION = 1
MOST_ROWS, BATCH = 1_000_000, 100
"""Rows of a Parquet file, and how many of them are read at once."""
MOST_BYTES = 1 << 30
"""Largest size of any file: hundreds of thousands of rows."""
MOST_AT_ONCE = 1 << 28
"""Bytes that rows of Parquet may take when they are read together."""
NAMES = ("id", *Measurement.model_fields)


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write rows by the file's suffix, whole. Raises InputError for another suffix, or where it cannot be written."""
    write = _by_suffix(path, WRITERS)
    with whole_file(path) as part:
        write([row.to_json() for row in rows], part)


def read_rows(path: Path) -> list[Measurement]:
    """Rows that ``write_rows`` or ``Sharing.write`` wrote.

    Raises InputError for a file that cannot be read or is not one of these, VerificationError for a row that is not
    what its id says, and for a file that is not what its signature covers.
    """
    read = _by_suffix(path, READERS)
    try:
        return [_checked(path, number, row) for number, row in enumerate(read(path), 1)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}): check the path and its rights") from None
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not rows that `compress ledger export` wrote ({why}): export them again") from None


def _by_suffix(path: Path, known: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    if path.suffix.lower() not in known:
        raise InputError(f"{path}: its suffix tells no format: end it in {', '.join(known)}")
    return known[path.suffix.lower()]


def _checked(path: Path, number: int, fields: Fields) -> Measurement:
    given = fields.pop("id", None)
    try:
        measurement = Measurement.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{path}: row {number}: {first_mistake(error)}: export it again") from None
    if given != measurement.id:
        raise VerificationError(f"{path}: row {number}: differs from its id, it was changed: get another copy")
    return measurement


def _flat(row: Fields) -> Fields:
    """Lists and mappings as JSON texts, for formats of plain columns."""
    return {name: json.dumps(row[name]) if name in DETAILS and row[name] is not None else row[name] for name in NAMES}


def _deep(row: Fields) -> Fields:
    return {name: parse_json(value) if name in DETAILS and value is not None else value for name, value in row.items()}


def _write_json(rows: Sequence[Fields], path: Path) -> None:
    document = {"schema_version": VERSION, "rows": list(rows)}
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(path: Path) -> list[Fields]:
    document = parse_json(read_plain(path, MOST_BYTES))
    if not isinstance(document, dict):
        raise ValueError("must be a mapping")
    if "signature" in document:
        check_shared(document, path)
    if document["schema_version"] != VERSION:
        raise ValueError(f"schema_version {document['schema_version']}, must be {VERSION}")
    return [dict(row) for row in document["rows"]]


def _write_csv(rows: Sequence[Fields], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, NAMES)
        writer.writeheader()
        writer.writerows(map(_flat, rows))


def _read_csv(path: Path) -> list[Fields]:
    # A row's pictures are one field; csv's own limit is 128 kB.
    csv.field_size_limit(2**27)
    file = io.TextIOWrapper(io.BytesIO(read_plain(path, MOST_BYTES)), newline="", encoding="utf-8")
    reader = csv.DictReader(file)
    # Each row has all columns.
    if unknown := [name for name in reader.fieldnames or () if name not in NAMES]:
        raise ValueError(f"unknown column {unknown[0]}")
    return [_deep({name: value or None for name, value in row.items()}) for row in reader]


def _write_parquet(rows: Sequence[Fields], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from compress.ledger.tables import measurements

    kinds = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    columns = {column.name: kinds[column.type.python_type] for column in measurements.c}
    schema = pa.schema([(name, columns.get(name, pa.string())) for name in NAMES])
    parquet.write_table(pa.Table.from_pylist(list(map(_flat, rows)), schema), path)


def _read_parquet(path: Path) -> Iterator[Fields]:
    from pyarrow import ArrowException, BufferReader, parquet

    # Equal values take no room in the file: kept as a dictionary, they take none in memory.
    try:
        with native_work(path):
            data = read_plain(path, MOST_BYTES)
            columns = parquet.read_schema(BufferReader(data)).names
            if unknown := [name for name in columns if name not in NAMES]:
                raise ValueError(f"unknown column {unknown[0]}")
            opened = parquet.ParquetFile(BufferReader(data), read_dictionary=columns)
        with opened as file:
            facts = file.metadata
            if facts.num_rows > MOST_ROWS:
                raise ValueError(f"{facts.num_rows} rows, at most {MOST_ROWS}")
            groups = map(facts.row_group, range(facts.num_row_groups))
            if any(group.total_byte_size > MOST_BYTES for group in groups):
                raise ValueError(f"more than {MOST_BYTES >> 20} MB, uncompressed, in a group of rows")
            batches = file.iter_batches(BATCH)
            while (batch := _next(batches, path)) is not None:
                yield from map(_deep, batch)
    except (MemoryError, OSError, ValueError):
        raise
    except ArrowException as error:  # types that it does not know, keys and places that are not there
        raise ValueError(str(error)) from None


def _next(batches: Iterator[Any], path: Path) -> Iterator[Fields] | None:
    """The next rows; one by one where each may be as long as all that is kept once."""
    with native_work(path):
        batch = next(batches, None)
        if batch is None:
            return None
        kept = sum(getattr(column, "dictionary", column).nbytes for column in batch.columns)
        if kept * batch.num_rows < MOST_AT_ONCE:
            return iter(batch.to_pylist())
    return (batch.slice(at, 1).to_pylist()[0] for at in range(batch.num_rows))


WRITERS: dict[str, Callable[[Sequence[Fields], Path], None]] = {
    ".json": _write_json,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
READERS: dict[str, Callable[[Path], Iterable[Fields]]] = {
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
