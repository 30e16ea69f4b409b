"""Where the ledger is, and its errors: one line each, without a password in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import CompressError, InputError, Unavailable, VerificationError
from compress.surroundings import NO_HOME, has_home
from compress.text import one_line, printable

if TYPE_CHECKING:
    from sqlalchemy import URL

    from compress.ledger.bounds import Bounds

VARIABLE = "COMPRESS_LEDGER_URL"
FILE = "ledger.sqlite"
DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def ledger_url() -> "URL":
    """``COMPRESS_LEDGER_URL``, or SQLite's file in the user's data folder. Raises InputError for what is neither."""
    from platformdirs import user_data_path
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    text = os.environ.get(VARIABLE)
    if not text and not (os.environ.get("XDG_DATA_HOME") or has_home()):
        raise InputError(f"no ledger, since {NO_HOME}: set {VARIABLE}, e.g. to sqlite:////folder/{FILE}")
    if not text:
        return URL.create(DRIVERS["sqlite"], database=str(user_data_path("elir-compress") / FILE))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text itself may hold a password.
        raise InputError(
            f"{VARIABLE}: not a database URL: write sqlite:////folder/{FILE} or postgresql://user@host/database"
        ) from None
    driver = DRIVERS.get(url.drivername.split("+")[0])
    if driver is None or url.drivername not in (driver, driver.split("+")[0], "postgres"):
        raise InputError(
            f"{VARIABLE}: {url.drivername} is not supported: write sqlite:////folder/{FILE} or "
            "postgresql://user@host/database"
        )
    if driver == DRIVERS["sqlite"] and url.host:
        raise InputError(
            f"{VARIABLE}: a file has no host: write three slashes, sqlite:///file, or four, sqlite:////folder"
        )
    if driver == DRIVERS["sqlite"] and (url.database or ":memory:") == ":memory:":
        raise InputError(f"{VARIABLE}: a ledger in memory keeps nothing: write sqlite:////folder/{FILE}")
    if driver == DRIVERS["sqlite"] and str(url.database).startswith("file:"):
        # SQLite's own URIs may name memory too, and our lock would lie under another name than the file.
        raise InputError(f"{VARIABLE}: names a URI of SQLite's: write the file, sqlite:////folder/{FILE}")
    if driver == DRIVERS["sqlite"] and (url.query or url.username or url.password or url.port):
        raise InputError(f"{VARIABLE}: a file has no user and takes no options: write sqlite:////folder/{FILE}")
    return url.set(drivername=driver)


def shown(url: "URL") -> str:
    """A ledger's place, for people: SQLite's file, or the server and database without user's secrets."""
    if url.drivername == DRIVERS["sqlite"]:
        return printable(str(Path(str(url.database))))
    port = f":{url.port}" if url.port else ""
    user = f"{url.username}@" if url.username else ""
    return printable(f"postgresql://{user}{url.host or ''}{port}/{url.database or ''}")


@contextmanager
def plain_errors(url: "URL", bounds: "Bounds") -> Iterator[None]:
    """Turn a database's errors into one line with the exit code that each deserves."""
    import sqlite3

    from pydantic import ValidationError
    from sqlalchemy.exc import DBAPIError

    from compress.results.section import first_mistake

    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:  # the driver's own where no statement of SQLAlchemy's is at work
        cause = error.orig if isinstance(error, DBAPIError) else error
        if bounds.breach:
            raise _kind(url, "malformed")(_line(url, bounds.breach)) from None
        why = one_line(next(iter(str(cause).strip().splitlines()), type(cause).__name__))
        if "cleartext password" in why:  # libpq's words for what ``connect`` forbids
            why += "; if that is right, end the ledger's URL in ?require_auth=password"
        raise _kind(url, f"{why} {cause.__class__.__name__}")(_line(url, why)) from None
    except UnicodeDecodeError:  # SQLite's message quotes a damaged file's bytes, and Python's binding fails at it
        raise VerificationError(_line(url, "its texts are not UTF-8: the file is damaged")) from None
    except ValidationError as error:
        raise VerificationError(_line(url, f"a row is damaged: {first_mistake(error)}")) from None
    except ValueError as error:  # of a column of JSON
        raise VerificationError(_line(url, f"a row is damaged: {' '.join(str(error).split())}")) from None
    except TimeoutError:  # of the file that one migration at a time holds
        raise Unavailable(_line(url, "another program holds its lock")) from None
    except OSError as error:
        raise InputError(_line(url, str(error.strerror or error))) from None
    except (CompressError, MemoryError):
        raise
    except Exception as error:
        if url.drivername == DRIVERS["sqlite"]:
            raise
        # Of SQLAlchemy and of the driver, whose assertions hold for the answers of a PostgreSQL server alone.
        why = one_line(f"it does not answer as PostgreSQL does, {type(error).__name__}: {error}")
        raise Unavailable(_line(url, why)) from None


def _kind(url: "URL", why: str) -> type[CompressError]:
    if url.drivername != DRIVERS["sqlite"]:
        return Unavailable
    if "locked" in why:
        return Unavailable
    return VerificationError if "not a database" in why or "malformed" in why else InputError


def _line(url: "URL", why: str) -> str:
    secret = {str(value) for value in (url.password, url.query.get("password")) if value}
    for value in secret:
        why = why.replace(value, "***")
    return f"ledger {shown(url)}: cannot be used ({why}): mend that, or set {VARIABLE} to another"
