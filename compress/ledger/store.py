"""The ledger itself: append, and read; nothing is ever changed or removed."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from compress.errors import InputError, VerificationError
from compress.ledger.bounds import Bounds, bounded
from compress.ledger.place import ledger_url, plain_errors, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from sqlalchemy import URL, ColumnElement, Connection, Engine, Select

    from compress.results.measurement import Measurement, Row

CHUNK = 500
LEAST_ID = 6


@dataclass(frozen=True)
class Filter:
    """A choice of rows: those that agree with every field that is given.

    Times are UTC texts as in ``Measurement.created``: from ``since`` on, before ``until``.
    """

    target: str | None = None
    task: str | None = None
    recipe: str | None = None
    artifact: str | None = None
    dataset: str | None = None
    run: str | None = None
    since: str | None = None
    until: str | None = None

    def conditions(self) -> "list[ColumnElement[bool]]":
        from compress.ledger.tables import measurements

        given = {name: value for name, value in asdict(self).items() if value is not None}
        columns = measurements.c
        conditions = [columns[name] == value for name, value in given.items() if name not in ("since", "until")]
        conditions += [columns.created >= given["since"]] if "since" in given else []
        return conditions + ([columns.created < given["until"]] if "until" in given else [])


class Ledger:
    """An open ledger. Its errors are one line each: see ``place.plain_errors``."""

    def __init__(self, url: "URL") -> None:
        from compress.ledger.connect import connect

        self.url, self._bounds = url, Bounds()
        with plain_errors(url, self._bounds):
            self._engine: Engine = connect(url, self._bounds)

    @property
    def place(self) -> str:
        """The ledger's place for people: a file, or a server and database; no password."""
        return shown(self.url)

    def append(self, rows: "Iterable[Measurement]") -> int:
        """Add the rows that are not there yet, all or none; how many they were."""
        fresh = {row.id: row for row in rows}
        with self._connection(writes=True) as connection:
            for id in _present(connection, list(fresh)):
                del fresh[id]
            _insert(connection, list(fresh.values()))
        return len(fresh)

    def rows(self, which: Filter = Filter(), limit: int | None = None, *, pictures: bool = False) -> "list[Row]":
        """Rows, newest first; ``pictures`` asks for every picture's scores as well."""
        with self._connection() as connection:
            return self._read(connection, _select(which, pictures=pictures).limit(limit))

    def count(self, which: Filter = Filter()) -> int:
        """How many rows there are."""
        from sqlalchemy import func, select

        from compress.ledger.tables import measurements

        query = select(func.count()).select_from(measurements).where(*which.conditions())
        with self._connection() as connection:
            return int(connection.execute(query).scalar_one())

    def columns(self, names: Sequence[str], which: Filter = Filter()) -> list[tuple[Any, ...]]:
        """The values of some columns, newest row first, each of the type and range that ``Row`` gives it."""
        from sqlalchemy import select

        from compress.ledger.tables import measurements

        query = select(*(measurements.c[name] for name in names)).where(*which.conditions())
        with self._connection() as connection:
            values = list(map(tuple, bounded(connection, connection.execute(_newest_first(query)), self.place)))
            return _rows_of(tuple(names)).validate_python(values)

    def by_ids(self, ids: Iterable[str]) -> "list[Row]":
        """Rows of these ids, which `columns` gave, newest first, without pictures. Raises VerificationError where one
        is not whole."""
        from compress.ledger.tables import measurements

        with self._connection() as connection:
            chosen = _select(Filter(), pictures=False)
            asked = list(dict.fromkeys(ids))
            parts = [self._read(connection, chosen.where(measurements.c.id.in_(some))) for some in _chunks(asked)]
        rows = [row for part in parts for row in part]
        if len(rows) != len(asked):
            raise VerificationError(
                f"ledger {self.place}: damaged: {len(asked) - len(rows)} of {len(asked)} rows have no details: restore "
                "a copy of it"
            )
        return rows

    def row(self, start: str) -> "Row":
        """The row whose id begins so, with pictures. Raises InputError when none does, or several."""
        from compress.ledger.tables import measurements

        if not re.fullmatch(rf"[0-9a-f]{{{LEAST_ID},64}}", start):
            raise InputError(f"{start}: no row id: give {LEAST_ID} or more of its hexadecimal digits")
        # A range, which the primary key answers; LIKE would read every row.
        beyond = f"{start}g"
        query = _select(Filter(), pictures=True).where(measurements.c.id >= start, measurements.c.id < beyond).limit(2)
        with self._connection() as connection:
            rows = self._read(connection, query)
        if len(rows) != 1:
            what = "several rows begin so: give more digits" if rows else "no such row: see `compress ledger ls`"
            raise InputError(f"{start}: ledger {self.place}: {what}")
        return rows[0]

    def latest(self, fields: "Mapping[str, object]", until: str, other_than: str) -> "Row | None":
        """The newest row of an `apply` whose fields are ``fields``, made by ``until``, with pictures; none of the run
        ``other_than``, whose other targets have the same quality and size."""
        from compress.ledger.tables import measurements

        columns = measurements.c
        same = [columns[name].is_(None) if value is None else columns[name] == value for name, value in fields.items()]
        own = (columns.command == "apply", columns.created <= until, columns.run != other_than)
        with self._connection() as connection:
            rows = self._read(connection, _select(Filter(), pictures=True).where(*same, *own).limit(1))
        return rows[0] if rows else None

    def _read(self, connection: "Connection", query: "Select[Any]") -> "list[Row]":
        """Rows, each field of its type and range: what wrote into this database may have been another program."""
        from compress.results.measurement import Row

        rows = bounded(connection, connection.execute(query).mappings(), self.place)
        return [Row.model_validate(dict(row)) for row in rows]

    @contextmanager
    def _connection(self, *, writes: bool = False) -> "Iterator[Connection]":
        with plain_errors(self.url, self._bounds), self._engine.connect() as connection:
            connection = connection.execution_options(writes=writes)
            with connection.begin():
                yield connection


def open_ledger() -> Ledger:
    """The user's ledger, as ``COMPRESS_LEDGER_URL`` says. Raises InputError, Unavailable, VerificationError."""
    return Ledger(ledger_url())


def _select(which: Filter, *, pictures: bool) -> "Select[Any]":
    from sqlalchemy import select

    from compress.ledger.tables import details, measurements

    extra = [column for column in details.c if column.name != "id" and (pictures or column.name != "pictures")]
    query = select(*measurements.c, *extra).join(details, details.c.id == measurements.c.id)
    return _newest_first(query.where(*which.conditions()))


@cache
def _rows_of(names: tuple[str, ...]) -> "TypeAdapter[list[tuple[Any, ...]]]":
    """What checks rows of these columns, all at once."""
    from pydantic import ConfigDict, TypeAdapter

    from compress.results.measurement import Row

    kinds = [Annotated[field.annotation, *field.metadata, None] for field in map(Row.model_fields.__getitem__, names)]
    return TypeAdapter(list[tuple[*kinds]], config=ConfigDict(allow_inf_nan=False))  # type: ignore[valid-type]


def _newest_first(query: "Select[Any]") -> "Select[Any]":
    from compress.ledger.tables import measurements

    return query.order_by(measurements.c.created.desc(), measurements.c.id.desc())


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    return (ids[i : i + CHUNK] for i in range(0, len(ids), CHUNK))


def _present(connection: "Connection", ids: list[str]) -> Iterator[str]:
    from sqlalchemy import select

    from compress.ledger.tables import measurements

    for some in _chunks(ids):
        yield from connection.execute(select(measurements.c.id).where(measurements.c.id.in_(some))).scalars()


def _insert(connection: "Connection", rows: "list[Measurement]") -> None:
    from sqlalchemy.dialects import postgresql, sqlite

    from compress.ledger.tables import details, measurements

    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
    whole = [row.row().to_json() for row in rows]
    for i in range(0, len(whole), CHUNK):
        for table in (measurements, details):
            names = [column.name for column in table.c]
            part = [{name: row[name] for name in names} for row in whole[i : i + CHUNK]]
            # Another writer may have added it since this one looked.
            connection.execute(insert(table).on_conflict_do_nothing(), part)
