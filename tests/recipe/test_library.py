"""Names and paths, and YAML that must be refused."""

import os
import tomllib
from pathlib import Path

import pytest

from compress.errors import InputError
from compress.recipe import library


def refused(path: Path, text: str | bytes) -> str:
    """The one-line message that loading ``text`` ends in."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError) as error:
        library.load_yaml(path)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(path))


def test_a_name_is_a_built_in_file() -> None:
    assert library.find("recipes", "int8_sr") == library.data_folder("recipes") / "int8_sr.yaml"
    assert library.find("targets", "x86-openvino").is_file()
    assert "lpips_alex" in library.names("weights")


def test_a_wheel_ships_every_folder_where_it_is_looked_for() -> None:
    build = tomllib.loads((library.PACKAGE.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    assert wheel["sources"] == {folder: f"compress/_data/{folder}" for folder in library._FOLDERS.values()}
    assert set(wheel["only-include"]) == {"compress", *library._FOLDERS.values()}


def test_a_wheel_says_that_the_package_is_typed() -> None:
    from hatchling.builders.wheel import WheelBuilder

    files = {file.distribution_path for file in WheelBuilder(str(library.PACKAGE.parent)).recurse_included_files()}
    assert {"compress/py.typed", "compress/__init__.py", "compress/_data/recipes/int8_sr.yaml"} <= files


def test_every_built_in_file_describes_itself() -> None:
    for kind in ("recipes", "calibration", "targets"):
        assert all(description for _, description in library.describe(kind))


def test_a_path_is_a_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("a: 1")
    assert library.find("recipes", str(file)) == file


def test_a_local_file_does_not_shadow_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "int8_sr.yaml").write_text("a: 1")
    (tmp_path / "int8_sr").write_text("a: 1")
    assert library.find("recipes", "int8_sr") == library.data_folder("recipes") / "int8_sr.yaml"


def test_a_local_file_without_suffix_is_hinted_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError, match=r"'pictures': unknown calibration set .*for a file or folder here, write "):
        library.find("calibration", "pictures")
    assert library.find("calibration", "./pictures") == Path("pictures")


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(InputError) as error:
        library.find("targets", "x86-openvin")
    assert str(error.value) == (
        "'x86-openvin': unknown deploy target, did you mean x86-openvino? "
        f"(valid: {', '.join(library.names('targets'))})"
    )


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        library.find("recipes", f"{tmp_path}/nowhere.yaml")
    assert str(error.value) == f"{tmp_path}/nowhere.yaml: no such recipe: check the path"


def test_a_missing_path_named_like_a_built_in_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"check the path, or use the built-in one by its name, int8_sr$"):
        library.find("recipes", f"{tmp_path}/int8_sr.yaml")


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder, not a recipe: name a file in it$"):
        library.find("recipes", str(tmp_path))


def test_lines_of_keys_and_items(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("# first\na: 1\nb:\n  c: [1,\n    2]\n  d: x\n")
    document = library.load_yaml(file)
    assert document.data == {"a": 1, "b": {"c": [1, 2], "d": "x"}}
    assert [document.lines[at] for at in [("a",), ("b",), ("b", "c"), ("b", "c", 1), ("b", "d")]] == [2, 3, 4, 5, 6]


def test_scientific_numbers_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 2e-4\nb: 1E3\nc: 12\nd: 1.5\ne: e4\n")
    assert library.load_yaml(file).data == {"a": 2e-4, "b": 1e3, "c": 12, "d": 1.5, "e": "e4"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3: a: duplicate key, first on line 1: remove one"),
        ("a:\n  b: 1\n  b: 2\n", ":3: a.b: duplicate key, first on line 2: remove one"),
        ("a: &x [1]\nb: 2\n", ":1: anchors and aliases are not allowed: write the value out"),
        ("a: {<<: {b: 1}}\n", ":1: merge keys (<<) are not allowed: write the values out"),
        ("a: 1\n1: 2\n", ":2: keys must be text, got '1': quote it"),
        ("- 1\n- 2\n", ":1: must hold a mapping (key: value), got a list: begin with version: 1"),
        ("", ":1: must hold a mapping (key: value), got nothing: begin with version: 1"),
        ("a: [" + "[" * 100, ":1: nested deeper than 40 levels: flatten it"),
        ("a: 0x" + "f" * 5000, ":1: an integer of 20000 bits, more than 64: shorten it"),
        ("a: !!bool maybe", ":1: 'maybe' cannot be read as bool: correct it, or leave the tag out"),
        ("a: [1, 2\nb: 3\n", ":2: not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n---\nb: 2\n", ":2: not valid YAML: but found another document"),
        (b"a: \xff\xfe\x00", ": not a YAML file (not UTF-8 text): check the path"),
    ],
)
def test_refused_yaml(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refused(tmp_path / "a.yaml", text) == message


def test_a_yaml_bomb_is_refused(tmp_path: Path) -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 9))
    message = refused(tmp_path / "bomb.yaml", f"l0: &l0 [x, x]\n{levels}\n")
    assert message == ":1: anchors and aliases are not allowed: write the value out"


def test_yaml_that_builds_objects_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.yaml", "a: 1\nb: !!python/object/apply:os.system [id]\n")
    assert message == ":2: tag !!python/object/apply:os.system is not allowed: write plain data"


def test_what_looks_like_a_date_is_text(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 2026-01-02\n")
    assert library.load_yaml(file).data == {"a": "2026-01-02"}


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.yaml", "a: " + "x" * library.MAX_BYTES)
    assert message == ": more than the 1000000 bytes that a YAML file may have: shorten it"


@pytest.mark.parametrize("kind", ["pipe", "device without end"])
def test_only_a_plain_file_is_read(kind: str, tmp_path: Path) -> None:
    """`compress sweep` hands over the path that it is given."""
    path = tmp_path / "x.yaml"
    {
        "pipe": lambda: os.mkfifo(path),
        "device without end": lambda: path.symlink_to("/dev/zero"),
    }[kind]()
    with pytest.raises(InputError, match=r"x\.yaml: cannot be read \(no plain file\): check the path and its rights"):
        library.load_yaml(path)
