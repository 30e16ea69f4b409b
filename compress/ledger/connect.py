"""Opening a ledger: SQLite with a write-ahead log, or PostgreSQL; made and migrated when it is not as it must be."""

import os
import re
import socket
import stat
import time
from contextlib import closing, suppress
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import Unavailable, VerificationError
from compress.ledger.bounds import WAIT_S, Bounds
from compress.ledger.place import DRIVERS, shown
from compress.native_work import native_work
from compress.results.json_text import parse_json
from compress.text import install_extra, one_line, printable

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

HEAD = "0003"
"""Newest revision in ``migrations/versions``; compared here, so that only a ledger of another one loads Alembic."""
CONNECT_S = 10.0
"""How long one address of a server may take to answer, where the user does not say it."""
GREETING_S = 20.0
"""What a server may take beyond that until it is greeted: honest ones have a password hashed for 0.01 s."""
ADVISORY_LOCK = 0x454C4952
"""Number of PostgreSQL's lock that one migration at a time holds; any, the same in every release ("ELIR")."""
MIGRATIONS = Path(__file__).parent / "migrations"


def connect(url: "URL", bounds: Bounds) -> "Engine":
    """An engine whose ledger has this release's schema, and whose connections keep to ``bounds``.

    Raises Unavailable without PostgreSQL's driver, VerificationError for a newer ledger; the database's own errors
    are for ``place.plain_errors``.
    """
    engine = _sqlite(url) if url.drivername == DRIVERS["sqlite"] else _postgresql(url)
    bounds.watch(engine)
    if (revision := _revision(engine, url)) != HEAD:
        _check_known(url, revision)
        _migrate(engine, url)
    return engine


def _sqlite(url: "URL") -> "Engine":
    from sqlalchemy import create_engine, event

    engine = create_engine(url, connect_args={"timeout": WAIT_S}, json_deserializer=parse_json)

    @event.listens_for(engine, "connect")
    def _no_hidden_begin(connection: Any, record: object) -> None:
        # sqlite3 would begin by itself, and late: a reader that turns writer then fails instead of waiting.
        connection.isolation_level = None
        check_schema(connection, url)

    @event.listens_for(engine, "begin")
    def _begin(connection: "Connection") -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    assert url.database is not None
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    _check_files(url)
    return engine


def _check_files(url: "URL") -> None:
    """Raise VerificationError where a pipe or a folder is in place of a file that SQLite opens, and would wait for, or
    a link beside the ledger, through which another file would be emptied, or a journal that has another file removed.
    """
    database = str(url.database)
    names = dict.fromkeys((database, os.path.realpath(database)))  # SQLite keeps its own files beside the latter
    for name, suffix in product(names, ("", "-journal", "-wal", "-shm", ".lock")):
        path = Path(f"{name}{suffix}")
        with suppress(FileNotFoundError, NotADirectoryError):  # other writers make and remove them at any moment
            if not stat.S_ISREG((path.lstat() if suffix else path.stat()).st_mode):
                raise VerificationError(f"ledger {shown(url)}: {printable(path.name)} is not a file: remove it")
            if suffix == "-journal" and _names_another(path):
                raise VerificationError(
                    f"ledger {shown(url)}: {printable(path.name)} names another file, which SQLite removes: "
                    "do not use it"
                )


_MAGIC = bytes.fromhex("d9d505f920a163d7")


def _names_another(journal: Path) -> bool:
    """Whether a journal ends with the name of a super-journal, as SQLite writes for several databases at once, and we
    never do. SQLite plays such a journal back, and then removes whatever file it names.
    """
    with journal.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - len(_MAGIC)))
        return file.read(len(_MAGIC)) == _MAGIC


_OURS = ("alembic_version", "measurements", "details")
_OBJECTS = {
    "table": re.compile(r"CREATE TABLE (?!.*\b(CHECK|DEFAULT|GENERATED|AS)\b).*", re.DOTALL | re.IGNORECASE),
    "index": re.compile(r"CREATE (UNIQUE )?INDEX \w+ ON \w+ \([\w, ]+\)"),
    "trigger": re.compile(
        r"CREATE TRIGGER \w+ BEFORE (UPDATE|DELETE) ON \w+ BEGIN SELECT RAISE\(ABORT, '[^']*'\); END"
    ),
}
"""What migrations write for SQLite, by its kind."""


def check_schema(connection: Any, url: "URL") -> None:
    """Raise VerificationError where one of our names is more than a table, or a table computes.

    In a file from a stranger, a view of one of these names may have rows without end, and a trigger or a generated
    column does what it likes with memory.
    """
    connection.execute("PRAGMA trusted_schema=OFF")
    for kind, name, table, sql in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        ours = str(name).lower() in _OURS or str(table).lower() in _OURS
        if ours and sql is not None and not (kind in _OBJECTS and _OBJECTS[kind].fullmatch(str(sql))):
            raise VerificationError(f"ledger {shown(url)}: its {kind} {name} is not as we write it: do not use it")


def _postgresql(url: "URL") -> "Engine":
    from sqlalchemy import create_engine, event

    if find_spec("psycopg") is None:
        raise Unavailable(f"ledger {shown(url)}: needs psycopg, which is not installed: {install_extra('postgresql')}")
    engine = create_engine(url, connect_args=_connect_arguments(url), json_deserializer=parse_json)

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Any, record: object, given: Any, named: Any) -> Any:
        # A server says how often a password is hashed: libpq may do so for hours, and lets no other thread work.
        limit_s = _greeting_s(url)
        late = Unavailable(f"ledger {shown(url)}: gives no greeting within {limit_s:.0f} s: check the server")
        with native_work(f"ledger {shown(url)}", limit_s, late):
            return dialect.loaded_dbapi.connect(*given, **named)

    return engine


def _connect_arguments(url: "URL") -> dict[str, Any]:
    """What neither the URL nor the environment says: to wait for ``CONNECT_S``, and to give no password in plain text
    to a server that has not proved who it is."""
    from psycopg import pq

    service = "service" in url.query or "PGSERVICE" in os.environ  # a file that may say all of it
    arguments: dict[str, Any] = {}
    if not (service or "connect_timeout" in url.query or "PGCONNECT_TIMEOUT" in os.environ):
        arguments["connect_timeout"] = int(CONNECT_S)
    trusted = str(url.query.get("sslmode", os.environ.get("PGSSLMODE", ""))).startswith("verify-")
    said = service or "require_auth" in url.query or "PGREQUIREAUTH" in os.environ
    if not (trusted or said) and pq.version() >= 160000:  # older ones do not know it
        arguments["require_auth"] = "!password"
    return arguments


def _greeting_s(url: "URL") -> float:
    """How long a connection may take, since psycopg looks names up and tries each address in turn.

    0, which is the usual limit, where the user sets none.
    """
    try:
        one_s = float(str(url.query.get("connect_timeout", os.environ.get("PGCONNECT_TIMEOUT", CONNECT_S))))
    except ValueError:
        one_s = CONNECT_S  # libpq refuses it
    if one_s <= 0:
        return 0.0
    began = time.monotonic()
    addresses = sum(map(_addresses, _hosts(url)))
    looked_up_s = time.monotonic() - began
    return addresses * one_s + 2 * looked_up_s + GREETING_S


def _hosts(url: "URL") -> list[str]:
    """Names of the servers that are tried, one after the other."""
    several = url.query.get("host", ())
    given = [url.host or "", *([several] if isinstance(several, str) else several)]
    names = [name for names in given if names for name in names.split(",")]
    return names or os.environ.get("PGHOST", "").split(",")


def _addresses(host: str) -> int:
    """How many addresses a name has; 1 for a socket, and for a name that is not known."""
    if not host or host.startswith(("/", "@")):
        return 1
    name = host.partition(":")[0] if host.count(":") == 1 else host  # SQLAlchemy takes HOST:PORT, too
    try:
        return len({address for *_, address in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return 1


def _revision(engine: "Engine", url: "URL") -> str | None:
    """None where there are no tables of ours yet. Raises VerificationError for more revisions than one."""
    from sqlalchemy import inspect, text

    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revisions = list(connection.execute(text("SELECT version_num FROM alembic_version LIMIT 2")).scalars())
    if len(revisions) > 1:
        raise VerificationError(f"ledger {shown(url)}: has several revisions, ours have one: do not use it")
    return revisions[0] if revisions else None


def _check_known(url: "URL", revision: str | None) -> None:
    known = {path.stem.removeprefix("r").split("_")[0] for path in (MIGRATIONS / "versions").glob("r*.py")}
    if revision is not None and revision not in known:
        raise VerificationError(
            f"ledger {shown(url)}: has revision {one_line(str(revision), 40)}, this release reads up to {HEAD}: "
            "upgrade elir-compress"
        )


def _migrate(engine: "Engine", url: "URL") -> None:
    """Migrate to ``HEAD``, whole or not at all, one process at a time."""
    from filelock import FileLock

    if url.drivername != DRIVERS["sqlite"]:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
            _upgrade(connection)
        return
    with FileLock(f"{url.database}.lock", timeout=WAIT_S):
        # Not inside a transaction, which SQLAlchemy's own connections begin.
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            _upgrade(connection)


def _upgrade(connection: "Connection") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
