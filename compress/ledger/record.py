"""What `apply` and `bench` add to the ledger, once their results are safe."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.bundle.manifest import read_manifest
from compress.errors import CompressError
from compress.results.file import read_results

if TYPE_CHECKING:
    from compress.ledger.measurement import Measurement

Say = Callable[[str], None]


def now() -> str:
    """This moment, UTC, to the second, as results.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run() -> str:
    """A name that no other run has: two that end in the same second stay two."""
    return uuid.uuid4().hex


def bundle_measurements(folder: Path) -> "list[Measurement]":
    """A bundle's rows of the ledger. Raises InputError for no bundle, VerificationError for a damaged one."""
    from compress.errors import VerificationError
    from compress.ledger.from_bundle import measurements

    results, manifest = read_results(folder).to_json(), read_manifest(folder)
    try:
        return measurements(results, manifest, folder)
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        why = " ".join(str(error).split())
        raise VerificationError(f"{folder}: its results are damaged ({why}): write the bundle again") from None


def record_apply(folder: Path, say: Say) -> None:
    """Append a finished bundle's rows. A ledger that cannot be used loses no bundle: one line says so."""
    _append(lambda: bundle_measurements(folder), say, f"later: `compress ledger import {folder}`")


def record_bench(folder: Path, performance: list[dict[str, Any]], say: Say) -> None:
    """Append what was timed now; a ledger that cannot be used is told in one line."""
    from compress.ledger.from_bundle import benched

    def rows() -> "list[Measurement]":
        return benched(read_results(folder).to_json(), read_manifest(folder), folder, performance, new_run(), now())

    _append(rows, say, "measure again then")


def _append(rows: "Callable[[], list[Measurement]]", say: Say, later: str) -> None:
    try:
        from compress.ledger import open_ledger

        open_ledger().append(rows())
    except CompressError as error:
        say(f"not recorded: {error}; {later}")
    except Exception as error:  # results are safe: nothing that a ledger, its driver or its disk does makes them fail
        say(f"not recorded: {' '.join(f'{type(error).__name__}: {error}'.split())}; {later}")
