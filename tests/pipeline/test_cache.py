"""A finished stage runs once, until what it stands on or what it wrote changes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.files import sha256_text
from compress.folders import finished_stages
from compress.pipeline.cache import FOLDER, Stages
from compress.results.document import StageSeconds


class Work:
    """Counts its runs; writes a file when told to."""

    def __init__(self, path: Path | None = None) -> None:
        self.path, self.runs = path, 0

    def __call__(self) -> dict[str, int]:
        self.runs += 1
        if self.path:
            self.path.write_text("result")
        return {"runs": self.runs}


def test_a_finished_stage_is_remembered_by_a_later_run(tmp_path: Path) -> None:
    work = Work()
    for _ in range(2):
        assert Stages(tmp_path, {"a": 1}, resume=True).run("x", work) == {"runs": 1}
    assert Stages(tmp_path, {"a": 1}, resume=True).done("x")
    assert not Stages(tmp_path, {"a": 1}, resume=True).done("y")


@pytest.mark.parametrize(
    ("key", "resume", "extra"), [({"a": 2}, True, None), ({"a": 1}, False, None), ({"a": 1}, True, ["other"])]
)
def test_another_key_or_a_fresh_run_repeats_it(tmp_path: Path, key: dict, resume: bool, extra: Any) -> None:
    work = Work()
    Stages(tmp_path, {"a": 1}, resume=True).run("x", work)
    assert not Stages(tmp_path, key, resume=resume).done("x", extra)
    assert Stages(tmp_path, key, resume=resume).run("x", work, extra) == {"runs": 2}


@pytest.mark.parametrize("spoil", [lambda p: p.unlink(), lambda p: p.write_text("another")])
def test_a_file_missing_or_changed_repeats_it(tmp_path: Path, spoil: Any) -> None:
    stages, work = Stages(tmp_path, {}, resume=True), Work(tmp_path / "file")
    stages.run("x", work, files=["file"])
    assert stages.done("x")
    spoil(tmp_path / "file")
    assert not stages.done("x")
    assert stages.run("x", work, files=["file"]) == {"runs": 2}
    assert (tmp_path / "file").read_text() == "result"


STRANGE = ["", "[]", "{", '{"key": 1}', "[" * 100_000, "\xff", "null", '{"key": "KEY", "result": {"runs": 9}}']
STRANGE += [f'{{"key": "KEY", "result": {{"runs": 9}}, "files": {files}}}' for files in ("[]", "3", '"x"', '{"a": 1}')]
FILES = ("../outside", "/etc/passwd", "pipe", ".", "", "a\\u0000b", "link/outside", "x" * 300)
STRANGE += [f'{{"key": "KEY", "result": {{"runs": 9}}, "files": {{"{file}": "HASH"}}}}' for file in FILES]


@pytest.mark.parametrize("text", STRANGE)
def test_a_damaged_record_is_no_record(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "folder"
    stages, work = Stages(folder, {}, resume=True), Work()
    stages.run("x", work)
    (tmp_path / "outside").write_text("theirs")
    (folder / "link").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    record = folder / FOLDER / "x.json"
    known = {"KEY": json.loads(record.read_text())["key"], "HASH": sha256_text("theirs")}
    for name, value in known.items():
        text = text.replace(name, value)
    record.write_text(text, encoding="latin-1")
    assert not stages.done("x")
    assert list(finished_stages(folder)) == [] or "HASH" not in text
    assert stages.run("x", work) == {"runs": 2}


@pytest.mark.parametrize("result", [None, 3, "x", {"stage": 1}, [{"stage": "a", "seconds": 1e999}], [{}]])
def test_a_result_of_another_shape_is_made_again(tmp_path: Path, result: Any) -> None:
    made = [StageSeconds(stage="a", seconds=1.0)]
    stages = Stages(tmp_path, {}, resume=True)
    assert stages.run_as(list[StageSeconds], "x", lambda: made) == made
    record = json.loads((tmp_path / FOLDER / "x.json").read_text())
    (tmp_path / FOLDER / "x.json").write_text(json.dumps({**record, "result": result}))
    assert stages.run_as(list[StageSeconds], "x", lambda: made) == made
    assert stages.run_as(list[StageSeconds], "x", lambda: []) == made


def test_a_record_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    os.mkfifo(tmp_path / FOLDER / "x.json")
    assert list(finished_stages(tmp_path)) == []
    with pytest.raises(InputError, match=r"x\.json: is a pipe or a device, not a file"):
        Stages(tmp_path, {}, resume=True).run("x", Work())


def test_a_stage_that_fails_leaves_no_record(tmp_path: Path) -> None:
    stages = Stages(tmp_path, {}, resume=True)
    with pytest.raises(ZeroDivisionError):
        stages.run("x", lambda: 1 / 0)
    assert not stages.done("x")


def test_a_key_that_is_no_data_is_a_mistake_of_ours(tmp_path: Path) -> None:
    """As text it would hold the object's address, and never be met again, or be met by another object."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        Stages(tmp_path, {}, resume=True).run("x", Work(), [object()])
