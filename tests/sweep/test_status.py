"""`compress sweep status` of a folder that anybody may have written."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compress.cli.commands import app

UNIT = {"label": "a", "host": "b", "message": "c"}
ODD = [
    None,
    5,
    "x",
    [],
    [1],
    {},
    {"label": 1},
    {"label": "a", "host": [1], "message": {}},
    {**UNIT, "label": "\x1b[31m"},
]


def printed_status(folder: Path, plan: Any, **files: Any) -> tuple[int, str]:
    """Exit code, and what was printed."""
    for name, document in {"plan": plan, **files}.items():
        path = folder / f"{name.replace('_', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))
    done = CliRunner().invoke(app, ["sweep", "status", "--out", str(folder)])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()
    return done.exit_code, done.stdout + done.stderr


def plan(folder: Path, **more: Any) -> dict[str, Any]:
    return {"name": "s", "store": str(folder / "store"), "units": [{"key": "k"}, {"key": "l"}], **more}


def test_a_sweep_of_ours(tmp_path: Path) -> None:
    code, text = printed_status(tmp_path, plan(tmp_path), store_running_k=UNIT, store_failed_l=UNIT)
    assert (code, text) == (0, "s: 0 of 2 units done, 1 running, 1 failed\nrunning: a (b)\nfailed: a: c\n")


@pytest.mark.parametrize("unit", ODD)
@pytest.mark.parametrize("what", ["running", "failed"])
def test_a_unit_of_any_shape(what: str, unit: Any, tmp_path: Path) -> None:
    code, text = printed_status(tmp_path, plan(tmp_path), **{f"store_{what}_k": unit})
    assert code == (0 if unit is None or unit == ODD[-1] else 2)
    assert code == 0 or f"{what}/k.json is damaged" in text


@pytest.mark.parametrize(
    "more",
    [{"name": 5}, {"name": None}, {"units": 5}, {"units": {"a": 1}}, {"units": ["k"]}, {"units": [{"key": [1]}]}]
    + [{"store": value} for value in (5, None, "nosuch://x", "reference://x", "a\0b", "x" * 5000, "::", "zip://x::a")],
)
def test_a_plan_of_any_shape(more: dict[str, Any], tmp_path: Path) -> None:
    assert printed_status(tmp_path, plan(tmp_path, **more))[0] in (0, 2)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "null", "NaN", '{"name": 1e999}'])
def test_a_plan_that_is_none(text: str, tmp_path: Path) -> None:
    code, printed = printed_status(tmp_path, text)
    assert code == 2 and "no sweep has run there" in printed


@pytest.mark.parametrize("place", ["elsewhere", "s3://team/sweeps?key=secret", "http://10.0.0.1/x", "sqlite:///x.db"])
def test_another_store_than_the_folder_s_is_followed_only_when_asked(place: str, tmp_path: Path) -> None:
    """A plan may be a stranger's, and its store any address that credentials are sent to."""
    code, text = printed_status(tmp_path, plan(tmp_path, store=place))
    shown = place.partition("?")[0]
    assert code == 2 and text == (
        f"{tmp_path}: its files are in the store {shown}, not in this folder: give that store, if you trust it "
        "(--store)\n"
    )


def test_a_store_that_is_asked_for_is_read(tmp_path: Path) -> None:
    (tmp_path / "there/running").mkdir(parents=True)
    (tmp_path / "there/running/k.json").write_text(json.dumps(UNIT))
    printed_status(tmp_path, plan(tmp_path, store="s3://team/sweeps"))
    done = CliRunner().invoke(
        app, ["sweep", "status", "--out", str(tmp_path), "--store", str(tmp_path / "there"), "--json"]
    )
    assert done.exit_code == 0 and json.loads(done.stdout)["running"] == [UNIT], done.stderr


@pytest.mark.parametrize("words", ["x\nfailed: all of them", "x\r\ny", "\u2028x", "x\x85y", "\x1b[2J"])
def test_words_of_a_record_make_no_line_of_their_own(words: str, tmp_path: Path) -> None:
    unit = {"label": words, "host": words, "message": words}
    named = plan(tmp_path, name=words)
    code, text = printed_status(tmp_path, named, store_running_k=unit, store_failed_l=unit)
    assert (code, len(text.rstrip("\n").split("\n"))) == (0, 3)
