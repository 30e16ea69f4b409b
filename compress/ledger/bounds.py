"""Bounds on what a ledger's database may take: a stranger's file or server can answer without end, or never.

A thread looks after each connection. It ends a call of the database by SQLite's interruption, or by closing the
server's socket, whichever library waits for it.
"""

import contextlib
import os
import socket
import sqlite3
import struct
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from compress.errors import VerificationError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")
WAIT_S = 60
"""How long a writer waits for others."""
LIMIT_S = 50.0
"""Longest time for a call of the database, until it ends or returns its next row."""
MOST_BYTES = 2**30
"""Most bytes that a server may send over one connection."""
MOST_TEXT = 2**28
"""Bytes of a value in SQLite's file, which may be sparse; results of ten thousand pictures take 60 MB."""
LEAST_ROW = 256
"""Bytes in SQLite's file of a row of ours, which holds two ids and four hashes of 64 digits."""
LOOK_S = 0.25
_RECEIVED = struct.Struct("=128xQ")  # of Linux's tcp_info: tcpi_bytes_received


class Bounds:
    """What the connections of one engine may take. ``breach``: what one took more of, in words, once it has."""

    def __init__(self) -> None:
        self.breach: str | None = None

    def watch(self, engine: "Engine") -> None:
        """Bound every connection that ``engine`` makes, from its first call on."""
        from sqlalchemy import event

        @event.listens_for(engine, "connect", insert=True)  # before SQLAlchemy's own first questions
        def _begin(connection: Any, record: Any) -> None:
            record.info["calls"] = _Calls(self, connection)

        for name in ("checkout", "checkin", "close"):
            event.listen(engine, name, _noting(name))

        @event.listens_for(engine, "before_cursor_execute")
        def _call(connection: "Connection", cursor: object, statement: str, *_: object) -> None:
            connection.info["calls"].goes_on(WAIT_S if statement.startswith("BEGIN") else 0)


def _noting(name: str) -> Any:
    def note(connection: Any, record: Any, *_: object) -> None:
        calls: _Calls | None = record.info.get("calls")
        if calls is None:
            return
        if name == "close":
            calls.close()
        calls.idle = name != "checkout"
        calls.goes_on()

    return note


class _Calls:
    """The calls of one connection, and the thread that looks after them."""

    def __init__(self, bounds: Bounds, connection: Any) -> None:
        self._bounds, self._connection = bounds, connection
        self.ended, self.idle = False, False
        self.goes_on()
        if isinstance(connection, sqlite3.Connection):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_TEXT)
            self._socket = None
        else:
            self._socket = socket.socket(fileno=os.dup(connection.pgconn.socket))
        threading.Thread(target=_look_after, args=(weakref.ref(self),), daemon=True, name="ledger").start()

    def goes_on(self, wait_s: float = 0) -> None:
        """Note that a call begins, which may wait for others for ``wait_s``, or that a row has come."""
        self._end = time.monotonic() + LIMIT_S + wait_s

    def close(self) -> None:
        """There are no more of them."""
        self.ended = True
        if self._socket is not None:
            self._socket.close()

    def look(self) -> None:
        """End what takes too long, or too much."""
        if self.idle or not (breach := self._breach()):
            return
        self._bounds.breach = breach
        with contextlib.suppress(OSError, sqlite3.Error):
            if self._socket is None:
                self._connection.interrupt()
            else:
                self._socket.shutdown(socket.SHUT_RDWR)

    def _breach(self) -> str | None:
        if time.monotonic() > self._end:
            return f"no answer within {LIMIT_S:.0f} s"
        return f"it sends more than {MOST_BYTES >> 20} MB" if self._received() > MOST_BYTES else None

    def _received(self) -> int:
        """Bytes that the server has sent; 0 where the system does not say."""
        with contextlib.suppress(OSError, AttributeError, struct.error):
            if self._socket is not None:
                return int(_RECEIVED.unpack(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136))[0])
        return 0


def _look_after(calls: "weakref.ref[_Calls]") -> None:
    """Hold nothing meanwhile: a ledger that nobody uses any more is closed."""
    while (own := calls()) is not None and not own.ended:
        own.look()
        del own
        time.sleep(LOOK_S)


def bounded(connection: "Connection", rows: Iterable[T], place: str) -> Iterator[T]:
    """``rows`` as they come. Raises VerificationError for more than SQLite's file can hold, as pages that are used
    again and again make it seem to."""
    most = None
    if connection.dialect.name == "sqlite":
        pages, size = (connection.exec_driver_sql(f"PRAGMA page_{it}").scalar_one() for it in ("count", "size"))
        most = pages * size // LEAST_ROW
    for number, row in enumerate(rows):
        if most is not None and number >= most:
            raise VerificationError(f"ledger {place}: gives more rows than its file can hold: do not use it")
        connection.info["calls"].goes_on()
        yield row
