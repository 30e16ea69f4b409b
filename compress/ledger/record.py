"""What `apply` and `bench` add to the ledger, once their results are safe."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from compress.bundle.open import open_bundle
from compress.errors import CompressError
from compress.results.performance import Performance

if TYPE_CHECKING:
    from compress.results.measurement import Measurement

Say = Callable[[str], None]


def now() -> str:
    """This moment, UTC, to the second, as results.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run() -> str:
    """A name that no other run has: two that end in the same second stay two."""
    return uuid.uuid4().hex


def bundle_measurements(folder: Path) -> "list[Measurement]":
    """A bundle's rows of the ledger. Raises InputError for no bundle, VerificationError for a damaged one."""
    from compress.ledger.from_bundle import measurements

    return measurements(open_bundle(folder))


def record_apply(folder: Path, say: Say) -> None:
    """Append a finished bundle's rows. A ledger that cannot be used loses no bundle: one line says so."""
    _append(lambda: bundle_measurements(folder), say, f"later: `compress ledger import {folder}`")


def record_bench(folder: Path, performance: Sequence[Performance], say: Say) -> None:
    """Append what was timed now; a ledger that cannot be used is reported in one line."""
    from compress.ledger.from_bundle import benched

    def rows() -> "list[Measurement]":
        return benched(open_bundle(folder), performance, new_run(), now())

    _append(rows, say, "measure again then")


def _append(rows: "Callable[[], list[Measurement]]", say: Say, later: str) -> None:
    try:
        from compress.ledger import open_ledger

        open_ledger().append(rows())
    except CompressError as error:
        say(f"not recorded: {error}; {later}")
    except Exception as error:  # results are safe: nothing that a ledger, its driver or its disk does makes them fail
        say(f"not recorded: {' '.join(f'{type(error).__name__}: {error}'.split())}; {later}")
