"""A ledger's database that answers without end, or never: one line, after a time or an amount."""

import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from compress.errors import CompressError, Unavailable, VerificationError
from compress.ledger import Ledger, bounds, open_ledger
from compress.ledger.connect import CONNECT_S, _connect_arguments, _greeting_s
from compress.results.measurement import Measurement
from tests.reliability.strange_server import strange_server

Make = Callable[..., Measurement]
Answer = Callable[[socket.socket], None]


# --- SQLite -------------------------------------------------------------------------------------------------------


@pytest.fixture()
def bomb(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of one row, whose indices of ten pages each lead to that row 10^12 times."""
    path = tmp_path / "bomb.sqlite"
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{path}")
    ledger = open_ledger()
    ledger.append([make()])
    ledger._engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'measurements'"
        roots = [root for (root,) in connection.execute(query)]
    connection.close()
    data = bytearray(path.read_bytes())
    for root in roots:
        at = (root - 1) * size
        leaf = bytes(data[at : at + size])
        data += leaf
        for _ in range(12):
            above = _above(leaf, len(data) // size, size)
            data += above
        data[at : at + size] = above
    data[28:32], data[92:96] = struct.pack(">I", len(data) // size), data[24:28]
    path.write_bytes(data)
    return path


def _above(leaf: bytes, child: int, size: int) -> bytes:
    """An inner page of an index, whose eleven children are the page ``child``, between entries like the leaf's."""
    (at,) = struct.unpack_from(">H", leaf, 8)
    long = leaf[at] >= 0x80  # of a varint of two bytes
    length = (leaf[at] & 0x7F) << 7 | leaf[at + 1] if long else leaf[at]
    cell = struct.pack(">I", child) + leaf[at : at + 1 + long + length]
    page = bytearray(size)
    for number in range(10):
        place = size - (number + 1) * len(cell)
        page[place : place + len(cell)] = cell
        struct.pack_into(">H", page, 12 + 2 * number, place)
    struct.pack_into(">BHHHBI", page, 0, 2, 0, 10, size - 10 * len(cell), 0, child)
    return bytes(page)


def test_more_rows_than_a_file_can_hold_are_refused(bomb: Path) -> None:
    ledger = open_ledger()
    line = f"ledger {bomb}: gives more rows than its file can hold: do not use it"
    for read in (ledger.rows, lambda: ledger.columns(["id", "bytes"])):
        with pytest.raises(VerificationError) as error:
            read()
        assert str(error.value) == line


def test_a_file_that_is_read_without_end_is_refused(bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LIMIT_S", 0.6)
    ledger = open_ledger()
    with pytest.raises(VerificationError) as error:
        ledger.count()
    assert str(error.value).startswith(f"ledger {bomb}: cannot be used (no answer within 1 s)")


def test_a_value_longer_than_any_of_ours_is_refused(
    ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append([make(machine={"cpu": "x" * 2000})])
    ledger._engine.dispose()
    monkeypatch.setattr(bounds, "MOST_TEXT", 1000)
    with pytest.raises(CompressError, match=r"too big"):
        open_ledger().rows()


def test_a_ledger_that_is_idle_stays_open(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while a bundle is measured between two looks at it."""
    monkeypatch.setattr(bounds, "LIMIT_S", 0.3)
    monkeypatch.setattr(bounds, "LOOK_S", 0.05)
    ledger = Ledger(make_url(f"sqlite+pysqlite:///{tmp_path / 'x.sqlite'}"))
    time.sleep(0.6)
    assert ledger.append([make()]) == 1 and ledger.count() == 1


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


READY = message(b"Z", b"I")
HELLO = message(b"R", bytes(4)) + message(b"S", b"server_version\x0016.0\x00") + message(b"K", bytes(8)) + READY
COLUMN = message(b"T", struct.pack(">H", 1) + b"a\0" + struct.pack(">IHIhih", 0, 0, 25, -1, -1, 0))
END = message(b"C", b"SELECT 1\0") + READY


def row(text: bytes) -> bytes:
    return message(b"D", struct.pack(">Hi", 1, len(text)) + text)


@contextmanager
def server(answer: Answer, greet: Answer = lambda connection: connection.sendall(HELLO)) -> Iterator[str]:
    """The ledger's URL of a server that greets as PostgreSQL does, and gives ``answer`` to a question."""

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                while True:
                    (size,) = struct.unpack(">I", connection.recv(4))
                    (code,) = struct.unpack(">I", connection.recv(size - 4)[:4])
                    if code == 0x30000:
                        break
                    connection.sendall(b"N")  # neither TLS nor GSSAPI
                greet(connection)
                while connection.recv(65536):
                    answer(connection)
            except (OSError, struct.error):
                return

    with strange_server(talk) as port:
        yield f"postgresql+psycopg://someone@127.0.0.1:{port}/db"


def silent(connection: socket.socket) -> None:
    time.sleep(20)


def endless(connection: socket.socket) -> None:
    connection.sendall(COLUMN)
    while True:
        connection.sendall(row(b"x" * 60000))


def notices(connection: socket.socket) -> None:
    while True:
        connection.sendall(message(b"N", b"SNOTICE\0C00000\0Mhello\0\0"))
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (silent, "no answer within 1 s"),
        (notices, "no answer within 1 s"),
        (endless, "it sends more than 1 MB"),
        (
            lambda connection: connection.sendall(COLUMN + row(b"1") + END),
            "it does not answer as PostgreSQL does, AssertionError: Could not determine version from string '1'",
        ),
        (
            lambda connection: connection.sendall(COLUMN + END),
            "it does not answer as PostgreSQL does, TypeError: expected string or bytes-like object, got 'NoneType'",
        ),
        (
            lambda connection: connection.sendall(
                message(b"E", b"SERROR\0CXX000\0M" + b"word " * 1000 + b"\0\0") + READY
            ),
            "word " * 38 + "word...",
        ),
    ],
    ids=["silent", "notices", "endless", "another version", "no version", "long"],
)
def test_a_strange_server_is_one_line(answer: Answer, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setattr(bounds, "LIMIT_S", 1.0)
    monkeypatch.setattr(bounds, "MOST_BYTES", 2**20)
    with server(answer) as url, pytest.raises(Unavailable) as error:
        Ledger(make_url(url))
    place = url.replace("+psycopg", "")
    assert str(error.value) == (
        f"ledger {place}: cannot be used ({why}): mend that, or set COMPRESS_LEDGER_URL to another"
    )


@pytest.mark.parametrize("allowed", [False, True])
def test_a_password_goes_out_in_plain_where_the_url_says_so(allowed: bool) -> None:
    pq = pytest.importorskip("psycopg").pq
    if pq.version() < 160000:
        pytest.skip("libpq before 16 gives it to any server that asks")
    got: list[bytes] = []

    def ask(connection: socket.socket) -> None:
        connection.sendall(message(b"R", struct.pack(">I", 3)))
        got.append(connection.recv(100))

    with server(silent, greet=ask) as url:
        place = url.replace("someone", "someone:s3cret") + ("?require_auth=password" if allowed else "")
        with pytest.raises(Unavailable) as error:
            Ledger(make_url(place))
    assert any(b"s3cret" in data for data in got) is allowed
    assert "s3cret" not in str(error.value)
    assert allowed or "server requested a cleartext password" in str(error.value)
    assert allowed or "end the ledger's URL in ?require_auth=password" in str(error.value)


@pytest.mark.parametrize(
    ("url", "environment", "least", "most"),
    [
        ("postgresql+psycopg://u@127.0.0.1/d", {}, 30, 31),
        ("postgresql+psycopg://u@127.0.0.1/d?connect_timeout=60", {}, 80, 81),
        ("postgresql+psycopg://u@127.0.0.1/d?connect_timeout=0", {}, 0, 0),
        ("postgresql+psycopg://u@127.0.0.1/d", {"PGCONNECT_TIMEOUT": "60"}, 80, 81),
        ("postgresql+psycopg://u@/d?host=127.0.0.1&host=127.0.0.2,127.0.0.3&host=/tmp", {}, 60, 61),
        ("postgresql+psycopg:///d", {"PGHOST": "127.0.0.1"}, 30, 31),
    ],
)
def test_every_address_of_a_server_has_its_time(
    url: str, environment: dict[str, str], least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGCONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert least <= _greeting_s(make_url(url)) <= most


def test_what_a_services_file_says_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    for name in ("PGSERVICE", "PGCONNECT_TIMEOUT", "PGREQUIREAUTH", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)
    url = make_url("postgresql+psycopg://u@127.0.0.1/d")
    assert _connect_arguments(url)["connect_timeout"] == CONNECT_S
    monkeypatch.setenv("PGSERVICE", "mine")
    assert _connect_arguments(url) == {}
