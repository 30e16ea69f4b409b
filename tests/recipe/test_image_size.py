"""``model.image_size``: the side of a square, or [height, width]."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.errors import InputError
from compress.recipe.image_size import shape_of, shortest, size_text
from compress.recipe.load import load_recipe, recipe_hash

MINE = (
    "version: 1\nname: mine\npasses: [{{fold_time: {{}}}}, {{ptq: {{}}}}]\nexport: {{onnx: {{}}}}\n"
    "model: {{image_size: {}}}\n"
)
SIDES = st.integers(2, 128).map(lambda n: 32 * n)


def recipe_file(folder: Path, size: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(MINE.format(size))
    return str(path)


def test_a_rectangle_is_height_and_width(tmp_path: Path) -> None:
    model = load_recipe(recipe_file(tmp_path, [384, 640])).model
    assert model.shape == (384, 640)
    assert model.model_dump(mode="json")["image_size"] == [384, 640]


def test_a_square_is_the_same_recipe_however_it_is_written(tmp_path: Path) -> None:
    side, sides = (load_recipe(recipe_file(tmp_path, size)) for size in (128, [128, 128]))
    assert sides.model.image_size == 128 and sides.model.shape == (128, 128)
    assert recipe_hash(side) == recipe_hash(sides)


@given(SIDES, SIDES)
def test_every_shape_is_written_in_one_way(height: int, width: int) -> None:
    shape = (height, width)
    assert shape_of(shortest([height, width])) == shape
    assert size_text(shape) == (str(height) if height == width else f"{height}x{width}")


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (
            "[360, 640]",
            "model.image_size: must be a multiple of 32, got 360: the nearest are 352 and 384, or add "
            "`padding: inside`",
        ),
        ("[384, 642]", "model.image_size: must be a multiple of 32, got 642: the nearest are 640 and 672"),
        ("[384, 32]", "model.image_size.1: must be >= 64, got 32"),
        ("[384]", "model.image_size: must hold at least 2 item(s), got [384]"),
        ("[384, 640, 3]", "model.image_size: must hold at most 2 item(s), got [384, 640, 3]"),
        ("[big, 64]", "model.image_size.0: must be an integer, got 'big'"),
        ("384x640", "model.image_size: must be an integer, got '384x640'"),
    ],
)
def test_what_is_no_size(tmp_path: Path, size: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_recipe(recipe_file(tmp_path, size))
    assert str(error.value).endswith(f"mine.yaml:5: {message}")


def sizes(folder: Path, model: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(
        "version: 1\nname: mine\npasses: [{fold_time: {}}, {ptq: {}}]\nexport: {onnx: {}}\n"
        f"model: {{{model}}}\n"
    )
    return str(path)


def test_the_first_of_several_shapes_is_the_models_size(tmp_path: Path) -> None:
    model = load_recipe(sizes(tmp_path, "image_sizes: [[128, 128], 256, [384, 640]]")).model
    assert model.shapes == [(128, 128), (256, 256), (384, 640)] and model.shape == (128, 128)
    assert load_recipe(sizes(tmp_path, "image_size: 64")).model.shapes == [(64, 64)]
    assert "image_sizes" not in load_recipe(sizes(tmp_path, "image_size: 64")).model.model_dump()
    inherited = load_recipe("int8_sr", ["model.image_sizes=[[256, 256], [384, 640]]"]).model
    assert inherited.shapes == [(256, 256), (384, 640)]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("image_sizes: []", "model.image_sizes: must hold at least 1 item(s), got []"),
        ("image_sizes: [64, [64, 64]]", "model: image_sizes holds 64 twice: take one of them out"),
        (
            "image_sizes: [64, [360, 640]]",
            "model.image_sizes: must be a multiple of 32, got 360: the nearest are 352 and 384, or add "
            "`padding: inside`",
        ),
        (
            "image_size: [66, 64], padding: inside",
            "model.image_size: must be a multiple of 4, got 66: the nearest are 64 and 68",
        ),
        (
            "image_size: 128, image_sizes: [64, [64, 96]]",
            "model: image_size (=128) must be left out beside image_sizes, or be the first of them (64)",
        ),
    ],
)
def test_what_is_no_list_of_sizes(tmp_path: Path, model: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_recipe(sizes(tmp_path, model))
    assert str(error.value).endswith(f"mine.yaml:5: {message}")


def test_padding_inside_takes_multiples_of_the_scale(tmp_path: Path) -> None:
    model = load_recipe(sizes(tmp_path, "image_sizes: [[360, 640], [68, 100]], padding: inside")).model
    assert model.shapes == [(360, 640), (68, 100)]
    assert load_recipe(sizes(tmp_path, "task: denoise, weights: elir_denoise, image_size: 65, padding: inside"))
    assert "padding" not in load_recipe(sizes(tmp_path, "image_size: 64")).model.model_dump()


@pytest.mark.parametrize(
    ("setting", "other"),
    [
        ("export.layout=staged", "export.layout: staged, which takes tiles of any picture"),
        ("passes.1.ptq.engine=nncf", "ptq's engine nncf"),
        ("export.onnx.htp=true", "export.onnx.htp: true"),
        ("export.executorch={backend: vulkan}", "export.executorch.backend: vulkan"),
    ],
)
def test_what_padding_inside_does_not_go_with(tmp_path: Path, setting: str, other: str) -> None:
    with pytest.raises(InputError) as error:
        load_recipe(sizes(tmp_path, "image_size: [72, 100], padding: inside"), [setting])
    rest = "take a size whose sides are multiples of 32, and leave padding out"
    assert f"model.padding: inside does not go with {other}: {rest}" in str(error.value)
