"""Figures of others: results.json, exports and ledgers with values that no measurement gives end in one line."""

import copy
import json
import math
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.ledger import open_ledger
from compress.ledger.exchange import write_rows
from compress.ledger.record import bundle_measurements
from tests.report.conftest import list_files, make_measured

HOSTILE = (
    *(None, True, "", "high", "24.1", "\x1b[2J", [], {}, [1], {"a": 1}, 0, -1, 1e-300, 1e13, 1e308),
    *(2**53 + 1, 2**63, 2**64, 10**30, 10**400, math.nan, math.inf, -math.inf),
)
MISSING = object()
CODES = {0, 2, 3, 5}
LIMITS = ("--max-slowdown", "1.1", "--max-size-growth", "1.1", "--max-psnr-drop", "0")
ONCE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)


def ended(*args: object) -> int:
    """Exit code of a command that ends as it should: without a traceback, and with one line where it fails."""
    done = CliRunner().invoke(app, list(map(str, args)))
    assert done.exception is None or isinstance(done.exception, SystemExit), (args, done.exception)
    assert done.exit_code in CODES, (args, done.exit_code, done.output)
    assert done.exit_code in (0, 3) or len(done.stderr.splitlines()) == 1, (args, done.stderr)
    assert "\x1b" not in done.output
    return done.exit_code


def leaves(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every value of a document, by the keys that lead to it; of lists, the first entries only."""
    if path:
        yield path
    if isinstance(document, list):
        document = dict(enumerate(document[:2]))
    if isinstance(document, dict):
        for key, value in document.items():
            yield from leaves(value, (*path, key))


def changed(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    result = at = copy.deepcopy(document)
    for key in path[:-1]:
        at = at[key]
    if value is MISSING:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return result


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles of the same artifacts; the second is the one that tests change."""
    place = tmp_path_factory.mktemp("figures")
    later = "2026-11-21T10:00:00Z"
    return make_measured(place / "before", side=16), make_measured(place / "now", created=later, side=16)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    return tmp_path / "ledger.sqlite"


@ONCE
@given(data=st.data(), value=st.sampled_from([*HOSTILE, MISSING]))
def test_results_with_a_value_that_nobody_measured(bundles: tuple[Path, Path], data: st.DataObject, value: Any) -> None:
    before, now = bundles
    path = now / "results.json"
    whole = json.loads((before / "results.json").read_text())
    place = data.draw(st.sampled_from(sorted(leaves(whole), key=str)))
    path.write_text(json.dumps(changed(whole, place, value)))
    list_files(now)
    page = now.parent / "page.html"
    page.unlink(missing_ok=True)
    first = ended("compare", before, now)
    assert ended("compare", now, before) == first
    ended("check", now, "--against", before, *LIMITS)
    ended("report", now, "-o", page)
    ended("ledger", "import", now)
    ended("ledger", "pareto")


@ONCE
@given(data=st.data(), value=st.sampled_from([*HOSTILE, MISSING]), suffix=st.sampled_from([".json", ".csv"]))
def test_an_export_with_a_value_that_nobody_measured(
    bundles: tuple[Path, Path], tmp_path: Path, data: st.DataObject, value: Any, suffix: str
) -> None:
    row = bundle_measurements(bundles[0])[4].row()
    path = tmp_path / f"rows{suffix}"
    write_rows([row], path)
    if suffix == ".json":
        whole = json.loads(path.read_text())
        place = data.draw(st.sampled_from(sorted(leaves(whole), key=str)))
        path.write_text(json.dumps(changed(whole, place, value)))
    else:
        lines = path.read_text().splitlines()
        cell = data.draw(st.sampled_from(["24.1", "9609600", "None", '"[{', "571.0"]))
        lines[1] = lines[1].replace(cell, "" if value is MISSING else str(value), 1)
        path.write_text("\n".join(lines))
    ended("ledger", "import", path)
    for command in ("ls", "pareto", "export"):
        ended("ledger", command, *([tmp_path / "again.csv"] if command == "export" else []))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("measurements", "psnr_db", "high"),
        ("measurements", "psnr_db", math.inf),
        ("measurements", "latency_p50_ms", 0.0),
        ("measurements", "bytes", 0),
        ("measurements", "bytes", -(2**62)),
        ("measurements", "bytes", b"\xff\xfe"),
        ("measurements", "created", "yesterday"),
        ("measurements", "files_sha256", "../x"),
        ("details", "pictures", '[{"name": "a", "psnr_db": "high"}]'),
        ("details", "pictures", '[{"name": "a", "psnr_db": NaN}]'),
        ("details", "machine", "{"),
        ("details", "machine", "[" * 100_000),
        ("details", "versions", "3"),
    ],
)
def test_a_ledger_with_a_value_that_nobody_measured(
    bundles: tuple[Path, Path], ledger: Path, tmp_path: Path, table: str, column: str, value: Any
) -> None:
    rows = bundle_measurements(bundles[0])
    open_ledger().append(rows)
    with sqlite3.connect(ledger) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{trigger}"')
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    id = rows[4].id
    messages = [
        ended("ledger", "show", id),
        ended("ledger", "export", tmp_path / "rows.json"),
        ended("compare", id, id),
        ended("check", bundles[0], "--max-size-growth", "1.1", "--max-slowdown", "1.1"),
    ]
    ended("ledger", "ls")
    ended("ledger", "pareto")
    ended("report", "-o", tmp_path / "page.html")
    assert messages[:3] == [5, 5, 5]


@pytest.mark.parametrize("place", ["x" * 4000, "a\0b", "/dev/zero", "pipes", "~nosuch", "\x1b[2J\nx", ""])
def test_a_row_whose_bundle_is_anywhere(
    bundles: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The page is made without its pictures."""
    monkeypatch.chdir(tmp_path)
    Path("pipes").mkdir()
    for name in ("manifest.json", "results.json"):
        os.mkfifo(f"pipes/{name}")
    open_ledger().append([row.model_copy(update={"bundle": place}) for row in bundle_measurements(bundles[0])])
    assert ended("report", "-o", tmp_path / "page.html") == 0


@pytest.mark.parametrize("limit", ["nan", "inf"])
def test_a_limit_that_is_no_number(bundles: tuple[Path, Path], limit: str) -> None:
    assert ended("check", bundles[0], "--against", bundles[0], "--max-psnr-drop", limit) == 2
