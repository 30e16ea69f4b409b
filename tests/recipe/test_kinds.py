"""A YAML file in the place of another kind is told where it belongs; a mistaken one keeps its own mistakes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.data.sets import load_set
from compress.errors import InputError
from compress.recipe.kinds import OWN_KEYS, PLACES, own_kind

FILES = {
    "recipe.yaml": "version: 1\nname: r\nextends: int8_sr\n",
    "train.yaml": "version: 1\nname: t\ndata: {train: [a]}\nstages: []\n",
    "sweep.yaml": "version: 1\nname: s\nrecipes: [int8_sr]\n",
    "target.yaml": "version: 1\nname: b\nruntime: openvino\nformat: openvino\n",
    "set.yaml": "version: 1\nname: c\nsource: {kind: bundled, folder: calibration}\n",
}


@pytest.mark.parametrize(
    ("command", "file", "message"),
    [
        ("train", "recipe.yaml", "is a recipe: use `compress apply recipe.yaml`"),
        ("apply", "train.yaml", "is a training recipe: use `compress train train.yaml`"),
        ("sensitivity", "target.yaml", "is a deploy target: use `compress bench BUNDLE --target target.yaml`"),
        ("search", "set.yaml", "is a data set: name it under data in a recipe"),
        ("apply", "sweep.yaml", "is a sweep: use `compress sweep sweep.yaml`"),
        ("sweep", "recipe.yaml", "is a recipe: use `compress apply recipe.yaml`"),
    ],
)
def test_one_line_says_where_a_file_belongs(
    command: str, file: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(FILES[file])
    done = CliRunner().invoke(app, [command, file])
    assert (done.exit_code, done.stderr) == (2, f"{file}: {message}\n")


def test_a_key_of_its_own_kind_leaves_the_schema_to_tell(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("version: 1\nname: m\nextends: int8_sr\nsource: x\n")
    done = CliRunner().invoke(app, ["apply", str(tmp_path / "mine.yaml")])
    assert done.exit_code == 2 and "mine.yaml:4: source: unknown key" in done.stderr


def test_every_kind_has_a_place() -> None:
    assert {*OWN_KEYS.values()} == {*PLACES}
    assert own_kind({"version": 1, "name": "x"}) is None


def test_a_key_is_named_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(FILES["sweep.yaml"] + "sett: {model.seed: 1}\n")
    done = CliRunner().invoke(app, ["sweep", str(tmp_path / "s.yaml")])
    assert "sett: unknown key, did you mean set? (valid: version, name, description, recipes, set, " in done.stderr


def test_a_picture_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match=r"photo.jpg: is a picture, not a set: give the folder that holds it"):
        load_set(str(tmp_path / "photo.jpg"), "sr_x4")
