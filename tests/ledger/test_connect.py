"""Making and migrating a ledger, and what is told when it cannot be used; on SQLite and a real PostgreSQL server."""

import importlib.util
import os
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from compress.errors import CompressError, InputError, Unavailable, VerificationError
from compress.ledger import Filter, Ledger, open_ledger
from compress.ledger.connect import HEAD, MIGRATIONS, _check_files
from compress.ledger.place import ledger_url, shown
from compress.results.measurement import Measurement
from compress.text import install_extra

Make = Callable[..., Measurement]


@pytest.fixture(params=["sqlite", "postgresql"])
def any_ledger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty ledger on each database."""
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    if request.param == "postgresql":
        url = fresh_database(request.getfixturevalue("postgresql"), f"t{abs(hash(tmp_path))}")
    monkeypatch.setenv("COMPRESS_LEDGER_URL", url)
    return open_ledger()


def fresh_database(server: str, name: str) -> str:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.removesuffix("postgres") + name


def test_the_migrations_make_the_tables_that_the_code_uses(any_ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from compress.ledger.tables import metadata

    with any_ledger._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD


def test_head_is_the_newest_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_rows_are_the_same_on_every_database(any_ledger: Ledger, make: Make) -> None:
    rows = [make(run=str(i), target="x86" if i else None, latency_p50_ms=(i + 1) / 3) for i in range(3)]
    assert any_ledger.append(rows) == 3
    assert open_ledger().append(rows) == 0
    assert {row.id: row for row in any_ledger.rows(pictures=True)} == {row.id: row.row() for row in rows}
    assert any_ledger.count(Filter(target="x86")) == 2
    assert any_ledger.row(rows[0].id[:8]) == rows[0].row()


def test_no_row_can_be_changed_on_any_database(any_ledger: Ledger, make: Make) -> None:
    any_ledger.append([make()])
    for change in ("UPDATE measurements SET psnr_db = 50", "DELETE FROM details"):
        with any_ledger._engine.connect() as connection, pytest.raises(Exception, match="append-only"):
            connection.execute(text(change))


WRITER = """
import sys
from compress.ledger import open_ledger
from compress.results.measurement import Measurement
given = Measurement.model_validate_json(sys.argv[1])
for i in range(10):
    assert open_ledger().append([given.model_copy(update={"run": f"{sys.argv[2]}-{i}"})]) == 1
"""


def test_writers_at_once_on_postgresql(postgresql: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    url = fresh_database(postgresql, "writers")
    monkeypatch.setenv("COMPRESS_LEDGER_URL", url)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", WRITER, make().model_dump_json()]
    writers = [subprocess.Popen([*command, str(i)], env=environment, stderr=subprocess.PIPE) for i in range(3)]
    for writer in writers:
        _, errors = writer.communicate(timeout=100)
        assert writer.returncode == 0, errors.decode()
    assert open_ledger().count() == 30


# --- what is told -------------------------------------------------------------------------------------------------


def refusal(url: str, monkeypatch: pytest.MonkeyPatch) -> CompressError:
    monkeypatch.setenv("COMPRESS_LEDGER_URL", url)
    with pytest.raises(CompressError) as error:
        open_ledger()
    assert len(str(error.value).splitlines()) == 1
    assert "s3cret" not in str(error.value)
    return error.value


def test_a_wrong_password_is_not_told(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal(postgresql.replace("s3cret", "s3cret-not"), monkeypatch)
    assert isinstance(error, Unavailable) and "password authentication failed" in str(error)
    assert str(error).startswith("ledger postgresql://team@127.0.0.1:")


@pytest.mark.parametrize(
    "url",
    ["postgresql://team:s3cret@127.0.0.1:9/x", "postgresql://team@127.0.0.1:9/x?password=s3cret"],
)
def test_a_server_that_does_not_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal(url, monkeypatch)
    assert isinstance(error, Unavailable)
    assert "ledger postgresql://team@127.0.0.1:9/x: cannot be used (connection" in str(error)


def test_a_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("compress.ledger.connect.find_spec", lambda name: None if name == "psycopg" else find(name))
    error = refusal("postgresql://team:s3cret@127.0.0.1:9/x", monkeypatch)
    assert isinstance(error, Unavailable)
    assert str(error).endswith(f"needs psycopg, which is not installed: {install_extra('postgresql')}")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://a:s3cret@b/c", "COMPRESS_LEDGER_URL: mysql is not supported: write sqlite:////folder/ledger.sqlite"),
        ("postgresql+psycopg2://a:s3cret@b/c", "COMPRESS_LEDGER_URL: postgresql.psycopg2 is not supported"),
        ("s3cret", "COMPRESS_LEDGER_URL: not a database URL"),
        ("postgresql://a:s3cret@b:port/c", "COMPRESS_LEDGER_URL: not a database URL"),
        ("sqlite://", "COMPRESS_LEDGER_URL: a ledger in memory keeps nothing"),
        ("sqlite:///file::memory:?uri=true", "COMPRESS_LEDGER_URL: names a URI of SQLite's: write the file"),
        ("sqlite://host/x", "COMPRESS_LEDGER_URL: a file has no host"),
    ],
)
def test_a_wrong_url(url: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal(url, monkeypatch)
    assert isinstance(error, InputError)
    assert str(error).startswith(text.replace("postgresql.psycopg2", "postgresql+psycopg2"))


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    error = refusal(f"sqlite:///{tmp_path}/file/ledger.sqlite", monkeypatch)
    assert isinstance(error, InputError) and "set COMPRESS_LEDGER_URL to another" in str(error)


def test_a_file_that_is_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.sqlite").write_text("no database" * 1000)
    error = refusal(f"sqlite:///{tmp_path}/x.sqlite", monkeypatch)
    assert isinstance(error, VerificationError) and "file is not a database" in str(error)


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
FORGED = {
    **{
        f"{table} is a view without end": [
            f"ALTER TABLE {table} RENAME TO real_{table}",
            f"CREATE VIEW {table} AS {ENDLESS} SELECT real_{table}.* FROM real_{table}, c",
        ]
        for table in ("measurements", "details", "alembic_version")
    },
    "a trigger without end": [
        f"CREATE TRIGGER t AFTER INSERT ON measurements BEGIN INSERT INTO details (id) {ENDLESS} SELECT x FROM c; END"
    ],
    "a trigger of our name": [
        "CREATE TRIGGER measurements_no_update BEFORE INSERT ON Measurements BEGIN "
        f"INSERT INTO details (id) {ENDLESS} SELECT x FROM c; END"
    ],
    "a column that takes gigabytes": [
        "ALTER TABLE measurements ADD COLUMN more TEXT GENERATED ALWAYS AS (hex(zeroblob(400000000))) VIRTUAL"
    ],
    "a default that takes gigabytes": [
        "DROP TABLE details",
        "CREATE TABLE details (id VARCHAR, pictures JSON DEFAULT (hex(zeroblob(400000000))))",
    ],
    "a check that takes gigabytes": [
        "DROP TABLE details",
        "CREATE TABLE details (id VARCHAR cHECK (hex(zeroblob(400000000)) > id))",
    ],
    "an index that computes": ["CREATE INDEX i ON details (hex(zeroblob(40)))"],
    "an index with a condition": ["CREATE INDEX i ON details (id) WHERE length(zeroblob(40)) > 3"],
    "a virtual table": ["DROP TABLE details", "CREATE VIRTUAL TABLE details USING fts5(id, machine)"],
}


@pytest.mark.parametrize("how", FORGED)
def test_a_ledger_whose_tables_are_none_of_ours(how: str, ledger: Ledger, make: Make) -> None:
    """Its rows may have no end, and a value of it a gigabyte: nothing of it is asked."""
    ledger.append([make()])
    with sqlite3.connect(str(ledger.url.database)) as connection:
        connection.execute("PRAGMA legacy_alter_table=ON")
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for statement in (*(f"DROP TRIGGER {name}" for (name,) in names), *FORGED[how]):
            connection.execute(statement)
    with pytest.raises(VerificationError, match="is not as we write it: do not use it"):
        open_ledger().rows()


def test_a_ledger_of_a_newer_release(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(str(ledger.url.database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    error = refusal(str(ledger.url), monkeypatch)
    assert isinstance(error, VerificationError)
    assert str(error).endswith(f"has revision 9999, this release reads up to {HEAD}: upgrade elir-compress")


def test_a_ledger_of_an_older_release_is_migrated_and_its_rows_stay(ledger: Ledger, make: Make) -> None:
    before, after = make(), make(image_size=None, image_shape="384x640")
    ledger.append([before])
    with sqlite3.connect(str(ledger.url.database)) as connection:
        for name in ("image_shape", *(n for n in Measurement.model_fields if n.startswith(("picture_", "clip_")))):
            connection.execute(f"ALTER TABLE measurements DROP COLUMN {name}")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    migrated = open_ledger()
    assert migrated.append([before, after]) == 1
    assert {row.id: row.size_text for row in migrated.rows()} == {before.id: "64 px", after.id: "384x640 px"}


def test_the_default_lies_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPRESS_LEDGER_URL")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Path(open_ledger().place) == tmp_path / "elir-compress/ledger.sqlite"


def test_a_ledger_s_place_is_shown_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may have any name: what a terminal would obey is written as Python writes it."""
    folder = tmp_path / "a\nb\x1b[31m"
    folder.mkdir()
    (folder / "ledger.sqlite").write_text("no database")
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{folder}/ledger.sqlite")
    place = f"{tmp_path}/a\\nb\\x1b[31m/ledger.sqlite"
    assert shown(ledger_url()) == place
    with pytest.raises(VerificationError) as refused:
        open_ledger()
    assert str(refused.value).startswith(f"ledger {place}: cannot be used (") and str(refused.value).isprintable()


@pytest.mark.parametrize("first", ["0001", HEAD, "0000"])
@pytest.mark.parametrize("second", ["0001", "9999", "", "\x1b[2J", "x" * 10**6, b"\xff", 5])
def test_a_ledger_of_several_revisions(
    first: str, second: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of these, Alembic's own errors are of no common class, and as long as the text."""
    with sqlite3.connect(tmp_path / "x.sqlite") as file:
        file.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        file.executemany("INSERT INTO alembic_version VALUES (?)", [(first,), (second,)])
    error = refusal(f"sqlite:///{tmp_path}/x.sqlite", monkeypatch)
    assert isinstance(error, VerificationError) and str(error).endswith("ours have one: do not use it")
    with sqlite3.connect(tmp_path / "x.sqlite") as file:
        file.execute("DELETE FROM alembic_version WHERE rowid = 1")
    error = refusal(f"sqlite:///{tmp_path}/x.sqlite", monkeypatch) if second != "0001" else None
    assert error is None or (len(str(error)) < 300 and str(error).isprintable())


STRANGE_FILES = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "circle": lambda path: Path(path).symlink_to(path),
    "dangling link": lambda path: Path(path).symlink_to("/nosuch/file"),
    "link to a file": lambda path: [Path(f"{path}.kept").write_text("kept"), Path(path).symlink_to(f"{path}.kept")],
}


@pytest.mark.parametrize("kind", STRANGE_FILES)
@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm", ".lock"])
@pytest.mark.parametrize("there", [False, True])
def test_what_lies_beside_the_file_may_be_anything(
    there: bool, suffix: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        sqlite3.connect(tmp_path / "x.sqlite").execute("PRAGMA user_version=1").connection.close()
    STRANGE_FILES[kind](str(tmp_path / f"x.sqlite{suffix}"))
    error = refusal(f"sqlite:///{tmp_path}/x.sqlite", monkeypatch)
    assert isinstance(error, VerificationError) and f"x.sqlite{suffix} is not a file: remove it" in str(error)


def test_a_pipe_in_place_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "x.sqlite")
    error = refusal(f"sqlite:///{tmp_path}/x.sqlite", monkeypatch)
    assert str(error).endswith("x.sqlite is not a file: remove it")


@pytest.mark.parametrize("what", ["?timeout=1&timeout=2", "?detect_types=99999999999999999999", "?uri=true&mode=ro"])
def test_a_file_takes_no_options(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (f"sqlite:///{tmp_path}/x.sqlite{what}", f"sqlite://me:s3cret@/{tmp_path}/x.sqlite"):
        error = refusal(url, monkeypatch)
        assert isinstance(error, InputError) and "a file has no user and takes no options" in str(error)


def test_a_lock_that_is_never_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    monkeypatch.setattr("compress.ledger.connect.WAIT_S", 0.2)
    with FileLock(tmp_path / "x.sqlite.lock"):
        error = refusal(f"sqlite:///{tmp_path}/x.sqlite", monkeypatch)
    assert isinstance(error, Unavailable) and "another program holds its lock" in str(error)


def test_what_lies_beside_the_file_may_come_and_go(tmp_path: Path) -> None:
    """Other writers make and remove a journal at any moment."""
    url = make_url(f"sqlite:///{tmp_path}/x.sqlite")
    journal, over = tmp_path / "x.sqlite-journal", threading.Event()

    def other() -> None:
        while not over.is_set():
            journal.write_bytes(b"x")
            journal.unlink()

    with ThreadPoolExecutor() as pool:
        made = pool.submit(other)
        try:
            for _ in range(1000):
                _check_files(url)
        finally:
            over.set()
        made.result()


@pytest.mark.parametrize("linked", [False, True])
def test_a_journal_that_has_another_file_removed_is_refused(
    linked: bool, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite plays a journal back that names a super-journal, and removes the file of that name, whatever it is."""
    folder, precious = tmp_path / "theirs", tmp_path / "precious.txt"
    folder.mkdir()
    precious.write_text("not a journal")
    path = folder / "x.sqlite"
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{path}")
    ledger = open_ledger()
    ledger.append([make()])
    ledger._engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    journal = path.with_name("x.sqlite-journal")
    journal.write_bytes(journal_of(path.read_bytes(), bytes(precious)))
    if linked:
        (tmp_path / "link.sqlite").symlink_to(path)
        monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'link.sqlite'}")
    with pytest.raises(VerificationError, match=r"x\.sqlite-journal names another file, which SQLite removes"):
        open_ledger()
    assert precious.exists() and journal.exists()


def journal_of(data: bytes, name: bytes) -> bytes:
    """A journal that puts the first page of a database back, and names the super-journal ``name``."""
    magic, page = bytes.fromhex("d9d505f920a163d7"), data[:4096]
    head = magic + struct.pack(">5I", 1, 0, len(data) // 4096, 512, 4096)
    check = sum(page[at] for at in range(4096 - 200, 0, -200))
    end = struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    return head.ljust(512, b"\0") + struct.pack(">I", 1) + page + struct.pack(">I", check) + end
