"""The ledger's commands from outside."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from compress.cli.commands import app


@pytest.fixture()
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's ledger is."""
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    return tmp_path / "ledger.sqlite"


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["ledger", *map(str, args)])


def listed(*args: object) -> dict[str, Any]:
    return json.loads(run("ls", *args, "--json").stdout)


def test_an_empty_ledger(place: Path) -> None:
    assert listed() == {"ledger": str(place), "total": 0, "rows": []}
    done = run("pareto")
    assert (done.exit_code, done.stdout) == (0, "no row has both latency_p50_ms and psnr_db\n")


def test_list_show_and_filter(place: Path, finished: Any) -> None:
    done = run("import", finished.folder)
    assert done.stdout == f"{place}: 5 rows added, 0 were there\n"
    assert run("import", finished.folder).stdout == f"{place}: 0 rows added, 5 were there\n"
    actual = listed()
    assert (actual["total"], len(actual["rows"])) == (5, 5)
    assert {r["artifact"] for r in actual["rows"]} == {a["id"] for a in finished.result.results["artifacts"]}
    for args, count in (
        (("--task", "sr_x4"), 5),
        (("--task", "denoise"), 0),
        (("--recipe", "tiny", "--artifact", "onnx-int8"), 1),
        (("--target", "x86-openvino"), 0),
        (("--dataset", "validation"), 5),
        (("--since", "1d"), 5),
        (("--until", "2026-01-01"), 0),
    ):
        assert listed(*args)["total"] == count, args
    for args, count in ((("--limit", 2), 2), (("--limit", 0), 0), (("--all", "--limit", 1), 5)):
        some = listed(*args)
        assert (some["total"], len(some["rows"])) == (5, count)
    row = actual["rows"][0]
    shown = json.loads(run("show", row["id"][:8], "--json").stdout)
    assert {name: shown[name] for name in row} == row and len(shown["pictures"]) == 2


def test_the_frontier_by_bytes(place: Path, finished: Any) -> None:
    run("import", finished.folder)
    (actual,) = json.loads(run("pareto", "--x", "bytes", "--y", "lpips", "--json").stdout)["frontiers"]
    costs = [(p["bytes"], p["lpips"]) for p in actual["points"]]
    assert costs == sorted(costs) and [y for _, y in costs] == sorted((y for _, y in costs), reverse=True)
    assert len(costs) + actual["dominated"] == 5
    assert run("pareto", "--x", "macs").exit_code == 0


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet"])
def test_export_and_import(
    place: Path, finished: Any, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("import", finished.folder)
    rows = listed()["rows"]
    assert run("export", tmp_path / f"x.{suffix}").stdout == f"{tmp_path / f'x.{suffix}'}: 5 rows\n"
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'theirs.sqlite'}")
    assert "5 rows added" in run("import", tmp_path / f"x.{suffix}").stdout
    assert listed()["rows"] == rows


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["show", "zz"], 2, "zz: no row id"),
        (["ls", "--since", "soon"], 2, "'soon': not a time"),
        (["export", "x.txt"], 2, "x.txt: its suffix tells no format"),
        (["import", "nowhere.json"], 2, "nowhere.json: cannot be read"),
    ],
)
def test_mistakes_are_one_line(place: Path, args: list[str], code: int, text: str) -> None:
    done = run(*args)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)
    assert done.stderr.startswith(text)


def test_listing_loads_neither_torch_nor_alembic(place: Path) -> None:
    listed()
    code = (
        "import sys\nfrom compress.cli.commands import app\napp(['ledger', 'ls'], standalone_mode=False)\n"
        "print(sorted({'torch', 'alembic', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]"
