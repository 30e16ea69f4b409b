"""`compress validate` on every kind of YAML file that `compress schema` describes."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.cli.yaml_kinds import SCHEMAS, check_file
from compress.errors import InputError
from compress.recipe.kinds import OWN_KEYS

FILES = {
    "recipe": "version: 1\nname: r\nextends: int8_sr\n",
    "calibration": "version: 1\nname: c\nsource: {kind: bundled, folder: calibration}\n",
    "target": "version: 1\nname: t\nruntime: openvino\nformat: openvino\n",
    "train": "version: 1\nname: n\ndata: {train: [a]}\nstages:\n  - {space: latents, steps: 5, lr: 2.0e-4}\n",
    "sweep": "version: 1\nname: s\nrecipes: [int8_sr]\nsearch: {kind: list, points: [{model.seed: 1}]}\n",
}
WRONG = {
    "recipe": (
        "model: {image_size: 100}\n",
        "model.image_size: must be a multiple of 32, got 100: the nearest are 96 and 128, or add `padding: inside`",
    ),
    "calibration": ("crop: 100\n", "crop: must be a multiple of 32, got 100: the nearest are 96 and 128"),
    "target": ("reech: local\n", "reech: unknown key, did you mean reach?"),
    "train": ("sead: 3\n", "sead: unknown key"),
    "sweep": ("set: {model.seeds: 1}\n", "model.seeds: unknown key, did you mean seed?"),
}


def run(tmp_path: Path, text: str) -> tuple[int, str]:
    (tmp_path / "x.yaml").write_text(text)
    (tmp_path / "a").mkdir(exist_ok=True)
    done = CliRunner().invoke(app, ["validate", str(tmp_path / "x.yaml")])
    return done.exit_code, done.stdout + done.stderr


def test_every_schema_can_be_recognized() -> None:
    assert set(OWN_KEYS.values()) == set(SCHEMAS) == set(FILES)
    for key, kind in OWN_KEYS.items():
        assert [k for k, schema in SCHEMAS.items() if key in schema.model_fields] == [kind], "a key of one kind alone"


@pytest.mark.parametrize("kind", FILES)
def test_a_valid_file_of_each_kind(tmp_path: Path, kind: str) -> None:
    name = FILES[kind].splitlines()[1].removeprefix("name: ")
    assert run(tmp_path, FILES[kind]) == (0, f"{name}: valid\n")


@pytest.mark.parametrize("kind", FILES)
def test_a_mistake_in_each_kind_is_told_by_its_own_schema(tmp_path: Path, kind: str) -> None:
    added, message = WRONG[kind]
    code, text = run(tmp_path, FILES[kind] + added)
    assert code == 2 and message in text and len(text.splitlines()) == 1


def test_a_file_without_its_chief_key_is_told_by_its_other_keys(tmp_path: Path) -> None:
    code, text = run(tmp_path, "version: 1\nname: board\nreach: ssh\nssh: {host: pi}\n")
    assert code == 2 and "runtime: is missing" in text and "passes" not in text
    code, text = run(tmp_path, "version: 1\nname: mine\ncount: 4\ncrop: 64\n")
    assert code == 2 and "source" in text and "passes" not in text
    assert "passes: is missing" in run(tmp_path, "version: 1\nname: mine\n")[1]


def test_too_few_pictures_are_found_before_any_work(tmp_path: Path) -> None:
    """ptq would refuse them only after the float model was measured."""
    (tmp_path / "few").mkdir()
    for i in range(3):
        Image.effect_noise((256, 256), 40 + i).save(tmp_path / f"few/{i}.png")
    code, text = run(tmp_path, FILES["recipe"] + "data: {calibration: ./few}\n")
    assert code == 2
    assert text == (
        "data.calibration: 3 pictures are too few for ptq, it needs 8 or more (32 are usual): use a larger set than "
        "few\n"
    )


def test_a_set_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["validate", "int8_sr", "--set", "data.calibration=./mine.yaml"])
    looked = f"no such calibration set (looked for {tmp_path / 'mine.yaml'}): check the path"
    assert done.exit_code == 2 and done.stderr.endswith(f"mine.yaml: {looked}\n")


@pytest.mark.parametrize("name", ["int8_sr", "train_sr_x4", "photos_validation", "x86-openvino"])
def test_built_in_names_of_each_kind(name: str) -> None:
    assert CliRunner().invoke(app, ["validate", name]).stdout == f"{name}: valid\n"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{weights: elir_sr_x4, task: denoise}", "was trained for sr_x4, the recipe's model.task is denoise"),
        ("{weights: ./mine.ckpt, task: sr_x4}", "the file holds no k_steps or sigma_s"),
        ("{weights: ./none.safetensors}", "no such weights file"),
    ],
)
def test_a_recipe_whose_checkpoint_cannot_be_meant(model: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.ckpt").write_bytes(b"not read for this")
    path = tmp_path / "mine.yaml"
    path.write_text(f"version: 1\nextends: int8_sr\nname: mine\nmodel: {model}\n")
    with pytest.raises(InputError, match=message):
        check_file(str(path))


def test_every_mistake_is_listed_and_pictures_are_opened(tmp_path: Path) -> None:
    """Each cost a dry run of its own: the first one hid the others."""
    for name in ("few", "mixed", "right"):
        (tmp_path / name).mkdir()
    for i in range(3):
        Image.effect_noise((256, 256), 40 + i).save(tmp_path / f"few/{i}.png")
    (tmp_path / "mixed/broken.png").write_bytes(b"not a picture")
    Image.effect_noise((64, 200), 40).save(tmp_path / "mixed/small.png")
    Image.effect_noise((90, 90), 40).save(tmp_path / "mixed/smaller.png")
    Image.open(tmp_path / "few/1.png").save(tmp_path / "right/twin.png")
    (tmp_path / "board.yaml").write_text("version: 1\nname: board\nruntime: openvino\n")
    recipe = (
        "version: 1\nname: mine\nextends: int8_sr\nmodel: {weights: elir_denoise}\n"
        "data: {calibration: ./few, validation: [./mixed, ./right, ./nowhere]}\n"
        "targets: [./board.yaml]\nexport: {onnx: {precisions: [weights]}}\n"
    )
    code, text = run(tmp_path, recipe)
    lines = text.splitlines()
    wanted = [
        f"x.yaml:5: data.validation.2: {tmp_path}/nowhere: no such calibration set",
        "3 pictures are too few for ptq",
        "broken.png: not a readable picture",
        "small.png: 64 x 200 px, smaller than the crop of 256 px",
        "smaller.png: 90 x 90 px, smaller than the crop",
        "set few and validation set right share a picture",
        "board.yaml:1: format: is missing",
        "export.onnx: weights needs the pass weights",
        "was trained for denoise",
    ]
    assert code == 2
    assert [any(each in line for line in lines) for each in wanted] == [True] * len(wanted), text
    assert len(lines) == len(wanted), text
    (tmp_path / "x.yaml").write_text(recipe.replace(", ./nowhere", ""))
    done = CliRunner().invoke(app, ["apply", str(tmp_path / "x.yaml"), "--dry-run", "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and sorted(done.stderr.splitlines()) == sorted(lines[1:]), "the dry run finds no other"


@pytest.mark.parametrize("kind", ["calibration", "train", "sweep"])
def test_pictures_of_the_other_kinds_are_opened_too(tmp_path: Path, kind: str) -> None:
    (tmp_path / "photos").mkdir()
    Image.effect_noise((100, 90), 40).save(tmp_path / "photos/small.png")
    files = {
        "calibration": "version: 1\nname: c\nsource: {kind: folder, path: ./photos}\n",
        "train": FILES["train"].replace("train: [a]", "train: [a], validation: ./photos"),
        "sweep": FILES["sweep"] + "set: {data.validation: [%s]}\n" % (tmp_path / "photos"),
    }
    code, text = run(tmp_path, files[kind])
    assert code == 2 and text.count("small.png: 100 x 90 px, smaller than the crop of 256 px") == 1, text
    assert len(text.splitlines()) == 1
