"""Append and read, on SQLite: order, filters, plans of queries, writers at once."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from compress.errors import InputError, VerificationError
from compress.ledger import Filter, Ledger
from compress.results.measurement import Measurement

Make = Callable[..., Measurement]


def test_a_row_comes_back_as_it_was(ledger: Ledger, make: Make) -> None:
    row = make(target="x86", latency_p50_ms=0.1 + 0.2, macs=2**40)
    assert ledger.append([row]) == 1
    assert ledger.rows(pictures=True) == [row.row()]
    assert ledger.row(row.id[:6]) == row.row()
    assert ledger.rows()[0].pictures is None and "pictures" not in ledger.rows()[0].to_json()


def test_the_same_measurement_is_one_row(ledger: Ledger, make: Make) -> None:
    assert ledger.append([make(), make(bundle="/elsewhere"), make(run="other")]) == 2
    assert ledger.append([make(), make(psnr_db=24.2)]) == 1
    assert ledger.count() == 3


def test_newest_first_and_every_filter(ledger: Ledger, make: Make) -> None:
    kinds = [
        {"target": "x86"},
        {"task": "denoise"},
        {"recipe": "mine"},
        {"artifact": "onnx-fp32"},
        {"dataset": "kodak"},
        {"run": "other"},
    ]
    rows = [make(created=f"2026-11-{day:02}T00:00:00+00:00", **kind) for day, kind in enumerate(kinds, 1)]
    ledger.append(rows)
    assert [row.id for row in ledger.rows()] == [row.id for row in reversed(rows)]
    assert [row.id for row in ledger.rows(limit=2)] == [rows[5].id, rows[4].id]
    for row, kind in zip(rows, kinds, strict=True):
        assert [result.id for result in ledger.rows(Filter(**kind))] == [row.id], kind
        assert ledger.count(Filter(**kind)) == 1
    between = Filter(since=rows[1].created, until=rows[3].created)
    assert [row.id for row in ledger.rows(between)] == [rows[2].id, rows[1].id]


@pytest.mark.parametrize("name", [None, "target", "task", "recipe", "artifact", "dataset"])
def test_pages_are_read_from_an_index_without_sorting(ledger: Ledger, name: str | None) -> None:
    from sqlalchemy.dialects import sqlite

    from compress.ledger.store import _select

    which = Filter(**{name: "x"}, since="2026") if name else Filter()
    compiled = (
        _select(which, pictures=False)
        .limit(50)
        .compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    )
    with sqlite3.connect(str(ledger.url.database)) as connection:
        plan = " | ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {compiled}"))
    assert f"USING INDEX measurements_{name or 'created'}" in plan
    assert "TEMP B-TREE" not in plan


def test_nothing_can_be_changed_or_removed(ledger: Ledger, make: Make) -> None:
    ledger.append([make()])
    with sqlite3.connect(str(ledger.url.database)) as connection:
        for change in ("UPDATE measurements SET psnr_db = 50", "DELETE FROM measurements", "DELETE FROM details"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(change)


@pytest.mark.parametrize(
    ("start", "text"),
    [
        ("zz", "zz: no row id: give 6 or more of its hexadecimal digits"),
        ("000000", "no such row: see `compress ledger ls`"),
    ],
)
def test_a_wrong_id(ledger: Ledger, start: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        ledger.row(start)


def test_the_latest_apply_that_is_fields(ledger: Ledger, make: Make) -> None:
    old, new, bench = (
        make(created="2026-11-01T00:00:00+00:00"),
        make(created="2026-11-02T00:00:00+00:00", run="run1"),
        make(created="2026-11-03T00:00:00+00:00", run="run2", command="bench"),
    )
    ledger.append([old, new, bench])
    fields = {"artifact": "onnx-int8", "target": None}
    for until, own, wanted in ((bench.created, "", new), (bench.created, new.run, old), (old.created, "", old)):
        result = ledger.latest(fields, until, own)
        assert result is not None and result.id == wanted.id
    assert ledger.latest({"target": "x86"}, bench.created, "") is None


WRITER = """
import json, sys
from compress.ledger import open_ledger
from compress.results.measurement import Measurement
fields = json.loads(sys.argv[1])
for i in range(20):
    rows = [Measurement.model_validate({**fields, "run": f"{sys.argv[2]}-{i}", "n": n}) for n in range(5)]
    assert open_ledger().append(rows) == 5
"""


def test_writers_at_once_lose_nothing(make: Make, tmp_path: Path) -> None:
    """Four processes make the ledger together, then write to it: each of 20 times opens it and appends 5 rows."""
    url = f"sqlite:///{tmp_path / 'new' / 'ledger.sqlite'}"
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"COMPRESS_LEDGER_URL": url, "PYTHONPATH": root}
    fields = make().model_dump_json()
    command = [sys.executable, "-c", WRITER, fields]
    writers = [subprocess.Popen([*command, str(i)], env=environment, stderr=subprocess.PIPE) for i in range(4)]
    for writer in writers:
        _, errors = writer.communicate(timeout=100)
        assert writer.returncode == 0, errors.decode()
    with sqlite3.connect(tmp_path / "new/ledger.sqlite") as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT run) FROM measurements").fetchone() == (400, 80)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_schema_that_is_no_utf_8_is_damage(tmp_path: Path, make: Make) -> None:
    url = make_url(f"sqlite+pysqlite:///{tmp_path / 'l.sqlite'}")
    Ledger(url).append([make()])
    with sqlite3.connect(tmp_path / "l.sqlite") as connection:
        whole = connection.serialize()
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / "l.sqlite").write_bytes(whole.replace(b"NOT NULL", b"NOT \xffULL"))
    with pytest.raises(VerificationError, match=r"l\.sqlite: cannot be used \(its texts are not UTF-8"):
        Ledger(url).rows()
