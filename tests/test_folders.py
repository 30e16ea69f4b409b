"""Whose a folder is: what every command that writes into one may touch there."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import compress
from compress.cli.commands import app
from compress.errors import InputError
from compress.folders import MARK, Owner, check_folder, claimed, remove_listed, remove_training
from compress.progress import Progress
from compress.recipe.load import to_yaml
from compress.recipe.schema import Recipe

Make = Callable[..., Recipe]
OWN = Owner("bundle", "tiny", "tiny.yaml", (), "one", "w")
FLOATS: dict[str, Any] = {"passes": [{"collapse": {}}], "export": {"onnx": {"precisions": ["fp32"]}}}


def said(folder: Path, owner: Owner = OWN, fresh: bool = False) -> list[str]:
    lines: list[str] = []
    with claimed(folder, owner, lines.append, fresh=fresh):
        pass
    return lines


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["bundle", "training run", "sweep", "search"])
@pytest.mark.parametrize(
    "name",
    [
        "weights/best.pth",
        "samples/a.png",
        "int8/x",
        "recipe.yaml",
        "manifest.json",
        "plan.json",
        "metrics.jsonl",
        ".git/x",
    ],
)
def test_a_folder_of_somebody_elses_is_left_as_it_is(kind: Any, name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match="which compress did not write"):
        said(tmp_path, Owner(kind))
    assert snapshot(tmp_path) == {name: b"{}"}


@pytest.mark.parametrize("value", [5, None, [], {}, ["x"], [1], [[]], "x", "\x1b[31m\n", True, 1e300])
@pytest.mark.parametrize("key", ["name", "source", "settings", "makes", "weights", "kind", "more"])
def test_a_mark_of_any_shape_is_read_or_refused(key: str, value: Any, tmp_path: Path) -> None:
    mark = {"kind": "bundle", "name": "theirs", "source": "theirs.yaml", "settings": [], "makes": "two", "weights": "v"}
    (tmp_path / ".compress.json").write_text(json.dumps({**mark, key: value}))
    for owner in (OWN, Owner("sweep", "x")):
        try:
            check_folder(tmp_path, owner)
        except InputError as error:
            assert str(error).isprintable()


@pytest.mark.parametrize("name", [".compress.json", "manifest.json", "plan.json", "metrics.jsonl", ".stages/x.json"])
@pytest.mark.parametrize("text", ["", "[" * 100_000, "null", "[]", "\xff", '{"kind": "bundle"}', None])
def test_what_says_whose_a_folder_is_may_be_anything(name: str, text: str | None, tmp_path: Path) -> None:
    """A pipe would be waited for, and JSON without end be an error of Python's."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name) if text is None else (tmp_path / name).write_text(text, encoding="latin-1")
    with suppress(InputError):
        check_folder(tmp_path, OWN)


@pytest.mark.parametrize("name", [".DS_Store", ".gitkeep", ".lock", "search/.compress.json"])
def test_what_a_person_calls_empty_is_empty(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('{"kind": "search"}')
    assert said(tmp_path) == []


def test_a_folder_is_ours_from_the_first_moment(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "out", OWN, print):
        (tmp_path / "out" / "half").write_text("killed here")
        raise KeyboardInterrupt
    assert said(tmp_path / "out") == []
    with pytest.raises(InputError, match="holds a bundle, not a sweep"):
        said(tmp_path / "out", Owner("sweep"))


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (Owner("bundle", "tiny", "other.yaml", (), "two", "w"), "the recipe tiny.yaml"),
        (Owner("bundle", "tiny", None, (), "two", "w"), "the recipe tiny.yaml"),
        (Owner("bundle", "small", "tiny.yaml", (), "two", "w"), "recipe tiny"),
        (Owner("bundle", "tiny", "tiny.yaml", (), "two", "v"), "other weights"),
        (
            Owner("bundle", "tiny", "tiny.yaml", ("a=b",), "two", "w"),
            r"other settings \(it was made without settings\)",
        ),
    ],
)
def test_another_recipes_bundle_is_replaced_only_when_asked(other: Owner, text: str, tmp_path: Path) -> None:
    said(tmp_path)
    with pytest.raises(InputError, match=rf"{text}.*: name another folder \(--out\), or replace it \(resume=False\)$"):
        said(tmp_path, other)
    assert json.loads((tmp_path / MARK).read_text())["makes"] == "one"
    said(tmp_path, other, fresh=True)
    assert json.loads((tmp_path / MARK).read_text())["makes"] == "two"


def test_an_edited_recipe_is_told_and_goes_on(tmp_path: Path) -> None:
    said(tmp_path)
    (line,) = said(tmp_path, Owner("bundle", "tiny", "tiny.yaml", (), "two", "w"))
    assert "made by an earlier version of this recipe" in line


def test_what_makes_the_same_is_the_same(tmp_path: Path) -> None:
    said(tmp_path)
    assert said(tmp_path, Owner("bundle", "tiny", "copy.yaml", ("goals.x=1",), "one", "w")) == []


@pytest.mark.parametrize("kind", ["training run", "sweep", "search"])
def test_other_kinds_are_told_apart_by_their_files(kind: Any, tmp_path: Path) -> None:
    said(tmp_path, Owner(kind, "x", "a.yaml"))
    assert said(tmp_path, Owner(kind, "x", "a.yaml")) == []
    with pytest.raises(InputError, match=f"holds the {kind} of the recipe a.yaml"):
        said(tmp_path, Owner(kind, "x", "b.yaml"))


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    said(tmp_path / "out")
    for name in ("samples", "int8/onnx", "distill", ".stages/a/b", "store/units", ".shared", ".files"):
        link = tmp_path / "out" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(photos)
        with pytest.raises(InputError, match=f"{name}: is a link, and would be written through"):
            said(tmp_path / "out")
        link.unlink()
    (tmp_path / "out/int8/file").symlink_to(photos / "file")  # is replaced by what is written
    said(tmp_path / "out")


def test_only_listed_files_go_and_none_behind_a_link(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    for path in (out / "int8/ours", out / "int8/theirs", other / "kept"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (out / "link").symlink_to(other)
    (out / "file").symlink_to(other / "kept")
    remove_listed(out, ["int8/ours", "link/kept", "file", "../other/kept", str(other / "kept"), "int8", "gone"])
    assert sorted(snapshot(tmp_path)) == ["other/kept", "out/int8/theirs"]


def test_a_fresh_training_removes_its_own_files_only(tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "metrics.jsonl", "samples/step_000001.png", "samples/mine.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    remove_training(tmp_path)
    assert sorted(snapshot(tmp_path)) == ["notes.txt", "samples/mine.png"]


# --- commands -------------------------------------------------------------------------------------------------


def commands(recipe: Path) -> dict[str, list[str]]:
    sweep = recipe.with_name("sweep.yaml")
    sweep.write_text(f"version: 1\nname: s\nrecipes: [{recipe}]\n")
    out = ["--out", "."]
    return {
        "apply": ["apply", str(recipe), *out],
        "dry": ["apply", str(recipe), *out, "--dry-run"],
        "sensitivity": ["sensitivity", "int8_sr", *out],
        "search": ["search", "int8_sr", *out],
        "train": ["train", "train_sr_x4", *out],
        "sweep": ["sweep", str(sweep), *out],
    }


@pytest.mark.parametrize("command", ["apply", "dry", "sensitivity", "search", "train", "sweep"])
def test_no_command_touches_a_folder_of_the_users(
    command: str, tiny_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(to_yaml(tiny_recipe(**FLOATS)))
    work = tmp_path / "work"
    for name in ("weights/best.pth", "samples/step_1.png", "int8/a", "recipe.yaml", "report.html", ".part-x"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(name)
    before = snapshot(work)
    monkeypatch.chdir(work)
    done = CliRunner().invoke(app, commands(tmp_path / "tiny.yaml")[command])
    assert (done.exit_code, snapshot(work)) == (2, before), done.stderr
    assert "which compress did not write" in done.stderr


def test_users_files_in_a_bundle_stay(bundle: Path, tiny_recipe: Make) -> None:
    mine = {"weights/best.pth", "samples/holiday.png", "int8/onnx/own.onnx"}
    for name in mine:
        (bundle / name).parent.mkdir(exist_ok=True)
        (bundle / name).write_text("mine")
    compress.apply(tiny_recipe(export={"onnx": {"precisions": ["fp32", "int8"]}}), bundle, progress=Progress("silent"))
    left = snapshot(bundle)
    assert mine <= set(left)
    assert not any("openvino" in name for name in left if not name.startswith("."))


def test_two_recipes_of_one_name(tiny_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changed = {**FLOATS, "model": {**tiny_recipe().model.model_dump(), "seed": 5}}
    for name, settings in (("a", FLOATS), ("b", changed)):
        (tmp_path / f"{name}.yaml").write_text(to_yaml(tiny_recipe(**settings)))
    first = CliRunner().invoke(app, ["apply", "a.yaml"])
    assert first.exit_code == 0, first.stderr
    before = snapshot(tmp_path / "runs/tiny")
    refused = CliRunner().invoke(app, ["apply", "b.yaml"])
    assert refused.exit_code == 2 and os.path.join("..", "..", "a.yaml") in refused.stderr
    assert snapshot(tmp_path / "runs/tiny") == before
    # The same without the mark: a bundle of an older release.
    (tmp_path / "runs/tiny" / MARK).unlink()
    assert CliRunner().invoke(app, ["apply", "b.yaml"]).exit_code == 2
    assert CliRunner().invoke(app, ["apply", "a.yaml"]).exit_code == 0
    shutil.copy("b.yaml", "a.yaml")
    edited = CliRunner().invoke(app, ["apply", "a.yaml"])
    assert edited.exit_code == 0 and "earlier version of this recipe" in edited.stderr
