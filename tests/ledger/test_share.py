"""A device's results for others: anonymous, signed, and taken by another's ledger."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.errors import InputError, VerificationError
from compress.ledger import Ledger
from compress.ledger.exchange import read_rows
from compress.ledger.share import Sharing
from compress.results.machine import BusyProcess, Machine
from compress.results.performance import Latency, Performance

BUSY = [BusyProcess(name="secret-daemon", cores=0.75), BusyProcess(name="other", cores=0.5)]


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def timed(**facts: Any) -> Performance:
    machine = Machine(cpu="Cortex-A76", model="Raspberry Pi 5", cores=4, os="Linux-6.1-of-anna", busy=BUSY)
    given = {"artifact": "onnx-int8", "target": "annas-pi", "latency_ms": Latency(p50=3.25), "machine": machine}
    return Performance(**{**given, **facts})


@pytest.fixture()
def sent(finished: Any, tmp_path: Path) -> Path:
    """A file of one timed row and none of what was not timed."""
    path = tmp_path / "mine.json"
    said = Sharing(path).write(finished.folder, [timed(), timed(artifact="openvino-int8", latency_ms=None)])
    assert said.startswith(f"{path}: 1 rows, signed by key ")
    return path


def test_another_ledger_takes_the_file_and_knows_the_hand(sent: Path, ledger: Ledger) -> None:
    done = CliRunner().invoke(app, ["ledger", "import", str(sent)])
    assert (done.exit_code, done.stdout) == (0, f"{ledger.place}: 1 rows added, 0 were there\n")
    (row,) = ledger.rows()
    assert (row.latency_p50_ms, row.artifact, row.target, row.command) == (3.25, "onnx-int8", "own", "bench")
    assert row.run == "shared-" + json.loads(sent.read_text())["key"][:16]
    assert row.busy == "1.2 cores (other processes)"


def test_nothing_in_it_tells_whose_it_is(sent: Path, finished: Any) -> None:
    text = sent.read_text()
    (row,) = read_rows(sent)
    assert row.created.endswith("T00:00:00+00:00")
    assert (row.recipe, row.bundle, row.pictures) == ("own", None, None)  # the tiny recipe is not built in
    for name in ("anna", "secret", "Linux", finished.folder.name, str(finished.folder)):
        assert name not in text


def test_one_hand_has_one_key_that_others_cannot_read(sent: Path, finished: Any, data_home: Path) -> None:
    again = sent.with_name("again.json")
    Sharing(again).write(finished.folder, [timed()])
    keys = {json.loads(path.read_text())["key"] for path in (sent, again)}
    (key,) = data_home.rglob("share_key.pem")
    assert len(keys) == 1 and key.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("part", ["figure", "run", "key", "signature", "row"])
def test_a_changed_file_is_refused(part: str, sent: Path) -> None:
    document = json.loads(sent.read_text())
    (row,) = document["rows"]
    if part == "figure":
        row["latency_p50_ms"] = 1.0
    elif part == "run":
        row["run"] = "mine"
    elif part == "row":
        document["rows"] = []
    else:
        document[part] = {"key": 64, "signature": "0" * 128}[part]
    sent.write_text(json.dumps(document))
    with pytest.raises(VerificationError, match="differs from its signature, it was changed: ask its sender"):
        read_rows(sent)


def test_a_key_cannot_sign_anothers_rows(sent: Path, finished: Any, data_home: Path) -> None:
    next(data_home.rglob("share_key.pem")).unlink()
    Sharing(sent.with_name("other.json")).write(finished.folder, [timed()])
    document = json.loads(sent.read_text())
    other = json.loads(sent.with_name("other.json").read_text())
    sent.write_text(json.dumps(document | {name: other[name] for name in ("key", "signature")}))
    with pytest.raises(VerificationError):
        read_rows(sent)


def test_nothing_timed_leaves_no_file(finished: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    with pytest.raises(InputError, match=r"mine\.json: not written, nothing was timed: give a target that times"):
        Sharing(path).write(finished.folder, [timed(latency_ms=None)])
    assert not path.exists()


def test_a_file_that_cannot_be_the_one_is_refused_before_anything_is_measured(tmp_path: Path, finished: Any) -> None:
    (tmp_path / "there.json").write_text("mine")
    for name, why in (
        ("there.json", "exists already: name a new file"),
        ("x.csv", "results are shared as JSON: end its name in .json"),
        ("no/x.json", "its folder does not exist: make it first"),
    ):
        done = CliRunner().invoke(app, ["bench", str(finished.folder), "--share", str(tmp_path / name)])
        assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"{tmp_path / name}: {why}\n")
    assert (tmp_path / "there.json").read_text() == "mine"


def test_a_key_that_is_none_is_named(tmp_path: Path, data_home: Path) -> None:
    (data_home / "elir-compress").mkdir(parents=True)
    (data_home / "elir-compress" / "share_key.pem").write_text("none")
    with pytest.raises(InputError, match=r"share_key\.pem: not a private Ed25519 key in PEM"):
        Sharing(tmp_path / "mine.json")
