"""Rows to files and back, and what is refused."""

import base64
import csv
import json
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from compress.errors import InputError, VerificationError
from compress.ledger import Ledger
from compress.ledger.exchange import MOST_ROWS, READERS, read_rows, write_rows
from compress.results.measurement import Measurement

Make = Callable[..., Measurement]


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_a_colleagues_rows_merge_without_duplicates(suffix: str, ledger: Ledger, make: Make, tmp_path: Path) -> None:
    many = [{"name": f'{i}, "ü".png', "psnr_db": i / 7} for i in range(5000)]  # more than csv's usual limit
    mine, both, theirs = make(run="mine"), make(run="both", pictures=many), make(run="theirs", psnr_db=0.1 + 0.2)
    ledger.append([mine, both])
    write_rows([both.row(), theirs.row()], tmp_path / f"theirs{suffix}")
    result = read_rows(tmp_path / f"theirs{suffix}")
    assert result == [both, theirs]
    assert ledger.append(result) == 1
    assert {row.run for row in ledger.rows()} == {"mine", "both", "theirs"}


def test_a_parquet_file_has_typed_columns(make: Make, tmp_path: Path) -> None:
    from pyarrow import parquet

    write_rows([make().row()], tmp_path / "x.parquet")
    schema = parquet.read_schema(tmp_path / "x.parquet")
    kinds = {name: str(schema.field(name).type) for name in ("bytes", "psnr_db", "latency_p50_ms", "recipe", "macs")}
    assert kinds == {
        "bytes": "int64", "psnr_db": "double", "latency_p50_ms": "double", "recipe": "string", "macs": "int64",
    }  # fmt: skip


@pytest.mark.parametrize("document", [["signature"], "signature", "x", 5, None, [], True])
def test_json_that_is_no_mapping_is_refused(document: object, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"x\.json: "):
        read_rows(tmp_path / "x.json")


def test_columns_without_end_are_refused_before_the_rows(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(",".join(f"c{i}" for i in range(50_000)) + "\n" + "a\n" * 2000)
    tracemalloc.start()
    with pytest.raises(InputError, match="unknown column c0"):
        read_rows(tmp_path / "x.csv")
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


def test_a_changed_figure_is_refused(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    write_rows([make().row(), make(run="2").row()], path)
    path.write_text(path.read_text().replace("24.1", "42.1", 1))
    with pytest.raises(VerificationError, match=r"x\.csv: row 1: differs from its id, it was changed"):
        read_rows(path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_what_is_no_number_in_a_rows_details_is_refused(number: str, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_rows([make().row()], path)
    document = json.loads(path.read_text())
    document["rows"][0]["machine"] = {"cores": "@"}
    path.write_text(json.dumps(document).replace('"@"', number))
    with pytest.raises(InputError, match=r"x\.json: not rows that .* wrote \(.* is not a .*number\)"):
        read_rows(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.txt", "", "its suffix tells no format: end it in .json, .csv, .parquet"),
        ("x.json", "{", "not rows that `compress ledger export` wrote"),
        ("x.json", "[]", "not rows that `compress ledger export` wrote"),
        ("x.json", '{"schema_version": 2, "rows": []}', "schema_version 2, must be 1"),
        ("x.parquet", "PAR", "not rows that `compress ledger export` wrote"),
        ("x.csv", "a,b\n1,2\n", "unknown column a"),
        ("x.csv", "run\n1\n", "row 1: "),
    ],
)
def test_what_is_no_export(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        read_rows(tmp_path / name)
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_missing_file(tmp_path: Path) -> None:
    for name in ("x.json", "x.csv", "x.parquet"):
        with pytest.raises(InputError, match="cannot be read"):
            read_rows(tmp_path / name)


@pytest.mark.parametrize("change", [{"psnr_db": "high"}, {"extra": 1}, {"weights_sha256": "short"}, {"created": "now"}])
def test_a_wrong_field_is_named(change: dict, make: Make, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"schema_version": 1, "rows": [make().row().to_json() | change]}))
    with pytest.raises(InputError, match=rf"x\.json: row 1: {next(iter(change))}: "):
        read_rows(tmp_path / "x.json")


def test_the_csv_has_a_header_and_one_line_a_row(make: Make, tmp_path: Path) -> None:
    csv.field_size_limit(sys.maxsize)
    write_rows([make().row()], tmp_path / "x.csv")
    (row,) = csv.DictReader((tmp_path / "x.csv").open(newline=""))
    assert (row["psnr_db"], row["latency_p50_ms"], json.loads(row["versions"])) == ("24.1", "", {"torch": "2.13"})


def test_a_parquet_file_whose_rows_take_no_room_is_refused(tmp_path: Path) -> None:
    """Equal values are stored once: a file of a kilobyte may have more rows than fit in memory."""
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    for count, why in ((MOST_ROWS + 1, f"{MOST_ROWS + 1} rows, at most {MOST_ROWS}"), (MOST_ROWS, "row 1: ")):
        parquet.write_table(pa.table({"id": pa.array(["x"] * count).dictionary_encode()}), path, compression="zstd")
        with pytest.raises(InputError, match=why):
            read_rows(path)


def test_a_parquet_file_whose_text_takes_no_room_is_read_row_by_row(tmp_path: Path) -> None:
    """A text of 50 MB that stands in a hundred rows is kept once in the file, in a kilobyte, and was kept in each."""
    path = tmp_path / "rows.parquet"
    code = (
        "import resource, sys\nfrom pathlib import Path\nimport pyarrow as pa\nfrom pyarrow import parquet\n"
        "from compress.ledger.exchange import read_rows\n"
        "id = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), pa.array(['a' * 50_000_000]))\n"
        "parquet.write_table(pa.table({'id': id}), sys.argv[1], compression='zstd')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_rows(Path(sys.argv[1]))\nexcept Exception as error:\n    print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    error, megabytes = done.stdout.splitlines()
    assert path.stat().st_size < 10_000 and "row 1: created: Field required" in error
    assert int(megabytes) < 500


def test_a_damaged_parquet_file_is_refused_whatever_arrow_says(make: Make, tmp_path: Path) -> None:
    """Every byte of its last part, which says what the columns are, replaced by others."""
    path = tmp_path / "rows.parquet"
    write_rows([make().row()], path)
    good = path.read_bytes()
    length = int.from_bytes(good[-8:-4], "little")
    rng, refused = random.Random(0), 0
    for at in range(len(good) - 8 - length, len(good) - 8, 7):
        damaged = bytearray(good)
        damaged[at] = rng.choice([0, 5, 24, 127, 255])
        path.write_bytes(damaged)
        try:
            read_rows(path)
        except (InputError, VerificationError):
            refused += 1
    assert refused > 100


def test_a_type_that_arrow_does_not_know_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"threads": [1]}), path)
    kept = parquet.read_metadata(path).metadata[b"ARROW:schema"]
    assert base64.b64decode(kept).count(b"\x40\0\0\0") == 1  # bits of a whole number
    other = base64.b64encode(base64.b64decode(kept).replace(b"\x40\0\0\0", b"\x41\0\0\0"))
    path.write_bytes(path.read_bytes().replace(kept, other))
    with pytest.raises(InputError, match=r"wrote \(Integers .* not implemented\): export them again"):
        read_rows(path)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device without end"])
def test_only_a_plain_file_is_read(kind: str, suffix: str, tmp_path: Path) -> None:
    """A pipe would be waited for, and /dev/zero read until memory is full."""
    path = tmp_path / f"rows{suffix}"
    {
        "pipe": lambda: os.mkfifo(path),
        "device without end": lambda: path.symlink_to("/dev/zero"),
    }[kind]()
    with pytest.raises(InputError, match=r"not rows that .* wrote \(no plain file\): export them again"):
        read_rows(path)


@pytest.mark.parametrize("suffix", READERS)
def test_a_file_is_read_to_a_bound(suffix: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows([make().row()], tmp_path / f"rows{suffix}")
    monkeypatch.setattr("compress.ledger.exchange.MOST_BYTES", 100)
    with pytest.raises(InputError, match="has more than 100 bytes"):
        read_rows(tmp_path / f"rows{suffix}")
