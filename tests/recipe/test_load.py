"""Recipes: merged, overridden, checked; every mistake on a line of its own."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.errors import InputError
from compress.recipe.calibration_set import CalibrationSet
from compress.recipe.library import data_folder, find, parse_value
from compress.recipe.load import MOST_EXTENDED, load_any, load_model, load_recipe, recipe_hash, to_yaml
from compress.recipe.schema import Recipe
from compress.recipe.train import TrainRecipe
from compress.refusals import MOST_MISTAKES

MISTAKEN = {
    "model": "model:\n  seed: x\n  image_size: 33",
    "data": "data:\n  calibration: 1",
    "passes": "passes:\n  - collapse: {no: 1}\n  - ptq: {engine: none}",
    "export": "export:\n  noise: loud",
    "measure": "measure: never",
}
"""Parts of a recipe, each with one mistake or more."""
MINIMAL = "version: 1\nname: mine\npasses:\n  - fold_time: {}\n  - ptq: {engine: elir}\nexport: {onnx: {}}\n"


def recipe_file(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def mistakes(path: Path, *overrides: str) -> list[str]:
    """Lines of the message, the file's own path shortened to its name."""
    with pytest.raises(InputError) as error:
        load_recipe(str(path), overrides)
    assert error.value.exit_code == 2
    return str(error.value).replace(f"{path.parent}/", "").splitlines()


def test_the_built_in_recipe_holds_what_it_promises() -> None:
    recipe = load_recipe("int8_sr")
    assert [item.name for item in recipe.passes] == ["collapse", "fold_time", "equalize", "ptq"]
    assert recipe.export.openvino and recipe.export.onnx and recipe.export.executorch
    assert recipe.targets == ["x86-openvino", "x86-onnxruntime", "x86-executorch"]
    assert recipe.goals.fidelity_db == 39.5
    assert {goal.vs for goal in recipe.goals.speedup.values()} == {"best_float"}
    # The slowest runs on AVX2 gave 1.68x in OpenVINO, 1.54x in ONNX Runtime and 2.12x in ExecuTorch.
    bounds = [recipe.goals.speedup[name].bound(["avx2"]) for name in ("openvino", "onnx", "executorch")]
    assert bounds == [(1.5, "avx2"), (1.4, "avx2"), (1.9, "avx2")]
    assert recipe.goals.speedup["openvino"].bound(["avx2", "avx512_vnni", "amx_int8"]) == (1.0, "amx_int8")
    assert recipe.goals.speedup["openvino"].bound(["avx2", "avx512_vnni", "avx512_bf16"]) == (1.4, "avx512_bf16")
    assert recipe.goals.speedup["executorch"].bound(["avx2", "avx512_vnni", "avx512_bf16"]) == (2.0, "avx512_vnni")


def test_a_minimal_recipe_takes_the_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(str(recipe_file(tmp_path, MINIMAL)))
    assert recipe.model.image_size == 256
    assert recipe.data.calibration == "photos_calibration"
    assert recipe.export.openvino is None


def test_a_pass_without_settings_takes_the_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(str(recipe_file(tmp_path, MINIMAL.replace("fold_time: {}", "fold_time:"))))
    assert recipe.passes[0].model_dump() == {"fold_time": {}}


def test_extends_merges_mappings_and_replaces_lists(tmp_path: Path) -> None:
    child = "version: 1\nname: child\nextends: int8_sr\ngoals: {lpips_rise: 0.1}\ntargets: [x86-openvino]\n"
    base, recipe = load_recipe("int8_sr"), load_recipe(str(recipe_file(tmp_path, child)))
    assert recipe.name == "child"
    assert recipe.goals == base.goals.model_copy(update={"lpips_rise": 0.1})
    assert recipe.targets == ["x86-openvino"]
    assert recipe.passes == base.passes


def test_extends_a_path_beside_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe_file(tmp_path, MINIMAL, "base.yaml")
    path = recipe_file(tmp_path, "name: child\nextends: base.yaml\n")
    monkeypatch.chdir("/")
    assert load_recipe(str(path)).name == "child"


def test_a_mistake_of_the_extended_file_names_that_file(tmp_path: Path) -> None:
    recipe_file(tmp_path, MINIMAL + "goals:\n  psnr_drop: 1\n", "base.yaml")
    lines = mistakes(recipe_file(tmp_path, "extends: base.yaml\ngoals:\n  lpips: 1\n"))
    assert [line.split(" (")[0] for line in lines] == [
        "mine.yaml:3: goals.lpips: unknown key, did you mean lpips_rise?",
        "base.yaml:8: goals.psnr_drop: unknown key, did you mean psnr_drop_db?",
    ]


def test_a_circle_of_extends_is_refused(tmp_path: Path) -> None:
    recipe_file(tmp_path, "extends: mine.yaml\n", "b.yaml")
    assert mistakes(recipe_file(tmp_path, "extends: b.yaml\n")) == [
        "mine.yaml: extends itself (mine.yaml -> b.yaml -> mine.yaml): break the circle"
    ]


def test_a_row_of_extends_has_an_end(tmp_path: Path) -> None:
    for i in range(MOST_EXTENDED):
        recipe_file(tmp_path, f"extends: {i + 1}.yaml\n", f"{i}.yaml")
    recipe_file(tmp_path, MINIMAL, f"{MOST_EXTENDED}.yaml")
    assert load_recipe(str(tmp_path / "1.yaml")).name == "mine"
    with pytest.raises(InputError, match=r"0\.yaml: extends 8 recipes or more in a row: put some of them into one$"):
        load_recipe(str(tmp_path / "0.yaml"))


def test_extends_a_name_that_is_not_there(tmp_path: Path) -> None:
    (line,) = mistakes(recipe_file(tmp_path, "version: 1\nextends: int8_rs\n"))
    assert line.startswith("mine.yaml:2: extends: 'int8_rs': unknown recipe, did you mean int8_sr?")


def test_overrides_reach_keys_and_items() -> None:
    settings = ["goals.psnr_drop_db=0.5", "targets=[x86-openvino]", "passes.0.collapse=", "data.validation.0=./"]
    recipe = load_recipe("int8_sr", [*settings, "export.onnx.opset=18"])
    assert recipe.goals.psnr_drop_db == 0.5
    assert recipe.targets == ["x86-openvino"]
    assert recipe.data.validation == ["./"]
    assert recipe.export.onnx and recipe.export.onnx.opset == 18


def test_an_override_of_a_pass_settings() -> None:
    settings = load_recipe("int8_sr", ["passes.3.ptq.engine=nncf"]).ptq
    assert settings is not None and settings.engine == "nncf"


def test_targets_replace_the_recipes_own() -> None:
    assert load_recipe("int8_sr", targets=["x86-onnxruntime"]).targets == ["x86-onnxruntime"]
    with pytest.raises(InputError, match=r"^targets given: targets\.0: 'arm': unknown deploy target"):
        load_recipe("int8_sr", targets=["arm"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("goals", "setting goals: must look like key.path=value: for example model.image_size=128"),
        ("passes.²=1", "setting passes.²=1: passes is a list of 2: give a number from 0 to 1"),
        (f"passes.{'1' * 50}=1", f"setting passes.{'1' * 50}=1: passes is a list of 2: give a number from 0 to 1"),
        (f"passes.{'1' * 5000}=1", f"setting passes.{'1' * 5000}=1: passes is a list of 2: give a number from 0 to 1"),
        (f"{'a.' * 999}a=1", f"setting {'a.' * 20}...: a key path of 1000 parts, at most 40: shorten it"),
        ("name.x=1", "setting name.x=1: name is 'mine', not a mapping: nothing can be set inside it"),
        ("passes.7.ptq=1", "setting passes.7.ptq=1: passes is a list of 2: give a number from 0 to 1"),
        ("extends=int8_sr", "setting extends=int8_sr: extends: cannot be changed by a setting: write it in a file"),
        ("name=[", "setting name=[:1: not valid YAML: expected the node content, but found '<stream end>'"),
        (
            "model.image_size=100",
            "setting model.image_size=100: model.image_size: must be a multiple of 32, got 100: the nearest are 96 "
            "and 128, or add `padding: inside`",
        ),
        ("model.k_steps=true", "setting model.k_steps=true: model.k_steps: must be an integer, got True"),
    ],
)
def test_a_bad_override(tmp_path: Path, setting: str, message: str) -> None:
    assert mistakes(recipe_file(tmp_path, MINIMAL), setting) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("goals:\n  psnr_drop: 1\n", "mine.yaml:8: goals.psnr_drop: unknown key, did you mean psnr_drop_db? (valid: "),
        ("goal: {}\n", "mine.yaml:7: goal: unknown key, did you mean goals? (valid: version, name, description, "),
        ("zzz: 1\n", "mine.yaml:7: zzz: unknown key (valid: version, name, "),
        (
            "model: {image_size: 200}\n",
            "mine.yaml:7: model.image_size: must be a multiple of 32, got 200: the nearest are 192 and 224, or "
            "add `padding: inside`",
        ),
        ("model: {image_size: 32}\n", "mine.yaml:7: model.image_size: must be >= 64, got 32"),
        ("model: {image_size: 8192}\n", "mine.yaml:7: model.image_size: must be <= 4096, got 8192"),
        ("model: {image_size: big}\n", "mine.yaml:7: model.image_size: must be an integer, got 'big'"),
        ("model: {image_size: '256'}\n", "mine.yaml:7: model.image_size: must be an integer, got '256'"),
        ("model: {image_size: 256.5}\n", "mine.yaml:7: model.image_size: must be an integer, got 256.5"),
        ("model: [1]\n", "mine.yaml:7: model: must be a mapping, got [1]"),
        ("model: {sigma_s: .nan}\n", "mine.yaml:7: model.sigma_s: must be a finite number, got nan"),
        ("model: {k_steps: 0}\n", "mine.yaml:7: model.k_steps: must be > 0, got 0"),
        (
            "model: {task: sr4}\n",
            "mine.yaml:7: model.task: must be one of sr_x2, sr_x4, sr_x8, blind_sr_x4, denoise, deblur, inpaint, "
            "blind_face, sr_x8_published, blind_sr_x4_published, denoise_published, blind_face_published, "
            "inpaint_published, inpaint_square, colorize, got 'sr4', did you mean ",
        ),
        ("model:\n  weights: elir_sr_x5\n", "mine.yaml:8: model.weights: 'elir_sr_x5': unknown weights file, did you "),
        ("model:\n  weights: ./no.safetensors\n", "mine.yaml:8: model.weights: no.safetensors: no such weights file"),
        ("data: {calibration: photo}\n", "mine.yaml:7: data.calibration: 'photo': unknown calibration set"),
        ("data: {validation: [a/b]}\n", "mine.yaml:7: data.validation.0: a/b: no such calibration set: check the path"),
        (
            "targets:\n  - x86-openvin\n",
            "mine.yaml:8: targets.0: 'x86-openvin': unknown deploy target, did you mean x8",
        ),
        ("targets: x86-openvino\n", "mine.yaml:7: targets: must be a list, got 'x86-openvino'"),
        ("goals: {speedup: {vs: fp32}}\n", "mine.yaml:7: goals.speedup.min: is missing: add it"),
        ("goals: {speedup: 2}\n", "mine.yaml:7: goals.speedup: must be a mapping, got 2"),
        (
            "goals: {speedup: {vs: fp31, min: 1}}\n",
            "mine.yaml:7: goals.speedup.vs: must be one of fp32, best_float, got",
        ),
        ("goals: {speedup: {onnx: {min: 0}}}\n", "mine.yaml:7: goals.speedup.onnx.min: must be > 0, got 0"),
        (
            "goals: {speedup: {onxx: {min: 2}}}\n",
            "mine.yaml:7: goals.speedup.onxx: must be one of openvino, onnx, executorch",
        ),
        (
            "goals: {speedup: {min: {avx3: 2}}}\n",
            "mine.yaml:7: goals.speedup.min.avx3: must be one of amx_int8, avx512_bf16, avx512_vnni, avx_vnni, avx2, "
            "i8mm, asimddp",
        ),
        (
            "goals: {speedup: {onnx: {min: {avx2: 0}}}}\n",
            "mine.yaml:7: goals.speedup.onnx.min.avx2: must be > 0, got 0",
        ),
        ("goals: {speedup: {min: {}}}\n", "mine.yaml:7: goals.speedup.min: must hold at least 1 item(s), got {}"),
        ("goals: {speedup: {min: fast}}\n", "mine.yaml:7: goals.speedup.min: must be a number, got 'fast'"),
        ("measure: fast\n", "mine.yaml:7: measure: must be one of quick, full, got 'fast'"),
    ],
)
def test_one_mistake_one_line(tmp_path: Path, text: str, message: str) -> None:
    (line,) = mistakes(recipe_file(tmp_path, MINIMAL + text))
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ("[{ptqq: {}}]", "mine.yaml:3: passes.0.ptqq: unknown pass, did you mean ptq? (valid: "),
        (
            "[{fold_time: {}}, {ptq: {engin: elir}}]",
            "mine.yaml:3: passes.1.ptq.engin: unknown key, did you mean engine? (valid: ",
        ),
        ("[{fold_time: {}}, {ptq: {engine: eli}}]", "mine.yaml:3: passes.1.ptq.engine: must be one of elir, nncf, "),
        ("[{fold_time: {}}, {ptq: 3}]", "mine.yaml:3: passes.1.ptq: must be a mapping, got 3"),
        ("[ptq]", "mine.yaml:3: passes.0: must be a mapping, got 'ptq'"),
        (
            "[{weights: {}}, {prune: {macs: 0.5}}]",
            "mine.yaml:3: passes.1.prune: comes after weights, where integer",
        ),
        ("[{fold_time: {}}, {collapse: {}}]", "mine.yaml:3: passes.1.collapse: comes after fold_time, where the time"),
        ("[{ptq: {}}]", "mine.yaml:3: passes.0.ptq: comes without fold_time before it: add fold_time"),
        ("[{weights: {}}, {collapse: {}}]", "mine.yaml:3: passes.1.collapse: comes after weights, where its"),
        *(
            (
                f"[{{fold_time: {{}}}}, {before}{{{name}: {{}}}}, {{{name}: {{}}}}]",
                f"mine.yaml:3: passes.{at}.{name}: comes twice",
            )
            for name, before, at in (
                ("smooth", "", 2),
                ("ptq", "", 2),
                ("weights", "", 2),
                ("qat", "{ptq: {}}, ", 3),
                ("reconstruct", "{ptq: {}}, ", 3),
            )
        ),
        ("[{fold_time: {}}, {fold_time: {}}]", "mine.yaml:3: passes.1.fold_time: comes twice: remove one of the two"),
        ("[{prune: {}}]", "mine.yaml:3: passes.0.prune: with pattern channels, give one of widths, ratios, macs"),
        ("[]", "mine.yaml:3: passes: must hold at least 1 item(s), got []"),
        (
            "[{collapse: {}, ptq: {}}]",
            "mine.yaml:3: passes.0: must be a mapping of one pass name to its settings, got 2",
        ),
    ],
)
def test_mistakes_in_passes(tmp_path: Path, passes: str, message: str) -> None:
    text = f"version: 1\nname: mine\npasses: {passes}\nexport: {{onnx: {{}}}}\n"
    (line,) = mistakes(recipe_file(tmp_path, text))
    assert line.startswith(message)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = MINIMAL.replace("ptq:", "ptqq:").replace("version: 1\n", "") + "goals: {lpips: x}\ntargets: [x87]\n"
    assert [line.split(" (")[0].split(",")[0] for line in mistakes(recipe_file(tmp_path, text))] == [
        "mine.yaml:1: version: is missing: add it",
        "mine.yaml:4: passes.1.ptqq: unknown pass",
        "mine.yaml:6: goals.lpips: unknown key",
        "mine.yaml:7: targets.0: 'x87': unknown deploy target",
    ]


@given(order=st.permutations([*MISTAKEN]), extends=st.booleans())
def test_mistakes_stand_from_top_to_bottom(order: list[str], extends: bool, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("mistaken")
    split = 2 if extends else len(order)
    own, base = ("\n".join(MISTAKEN[name] for name in half) for half in (order[:split], order[split:]))
    recipe_file(folder, f"version: 1\nname: base\n{base}\n", "a.yaml")
    path = recipe_file(folder, f"version: 1\nname: mine\n{'extends: ./a.yaml' if extends else ''}\n{own}\n")
    told = mistakes(path, "goals.size_ratio=-1")
    places = [line.split(": ")[0].split(":") for line in told]
    assert told[0].startswith("setting goals.size_ratio=-1: goals.size_ratio: ")
    files = [file for file, *_ in places[1:]]
    assert files == sorted(files, key=["mine.yaml", "a.yaml"].index)
    assert set(files) == ({"mine.yaml", "a.yaml"} if extends else {"mine.yaml"})
    for file in ("mine.yaml", "a.yaml"):
        numbers = [int(place[1]) for place in places[1:] if place[0] == file]
        assert numbers == sorted(numbers)


def test_a_recipe_that_exports_nothing(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, MINIMAL.replace("{onnx: {}}", "{noise: baked}"))
    assert mistakes(path) == [
        "mine.yaml:6: export: names no format: add `openvino: {}`, `onnx: {}` or `executorch: {}`"
    ]


APART = "export: layout: staged does not go with"


@pytest.mark.parametrize(
    ("export", "message"),
    [
        ("onnx: {}, layout: staged, noise: baked", f"6: {APART} noise: baked: leave one of the two out"),
        ("onnx: {}, layout: staged, noise: seed", f"6: {APART} noise: seed: leave one of the two out"),
        ("onnx: {}, layout: staged, io: uint8", f"6: {APART} io: uint8: leave one of the two out"),
        ("onnx: {tensorrt: true}, layout: staged", f"6: {APART} onnx.tensorrt: true: leave one of the two out"),
        ("onnx: {tensorrt: false, htp: true}, layout: staged", f"6: {APART} onnx.htp: true: leave one of the two out"),
        (
            "onnx: {htp: true}, io: uint8",
            "6: export: io: uint8 does not go with onnx.htp: true: leave one of the two out",
        ),
        (
            "onnx: {}, layout: stages",
            "6: export.layout: must be one of single, staged, got 'stages', did you mean staged?",
        ),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, export: str, message: str) -> None:
    (line,) = mistakes(recipe_file(tmp_path, MINIMAL.replace("onnx: {}", export)))
    assert line == f"mine.yaml:{message}"


@pytest.mark.parametrize("learner", ["qat", "reconstruct"])
def test_what_another_engine_wrote_is_not_learnt(tmp_path: Path, learner: str) -> None:
    passes = f"[{{collapse: {{}}}}, {{fold_time: {{}}}}, {{ptq: {{engine: nncf}}}}, {{{learner}: {{}}}}]"
    text = f"version: 1\nname: mine\npasses: {passes}\nexport: {{onnx: {{}}}}\n"
    (line,) = mistakes(recipe_file(tmp_path, text))
    assert line.endswith(f"passes: {learner} cannot learn what engine nncf wrote: use engine elir")


def test_a_hexagon_npus_file_is_our_engines(tmp_path: Path) -> None:
    text = MINIMAL.replace("onnx: {}", "onnx: {htp: true}").replace("engine: elir", "engine: nncf")
    (line,) = mistakes(recipe_file(tmp_path, text))
    assert line.endswith("export.onnx.htp: true needs the pass ptq with engine elir: add it, or leave htp out")


@pytest.mark.parametrize(
    ("target", "what"), [("web-wasm", "browser"), ("intel-npu-4000", "vendor-compiler"), ("jetson-thor", "parser")]
)
def test_targets_that_run_one_graph_only(tmp_path: Path, target: str, what: str) -> None:
    text = MINIMAL.replace("onnx: {}", "onnx: {}, layout: staged") + f"targets: [x86-openvino, {target}]\n"
    message = (
        f"target {target} ({what}) runs no artifact of export.layout: staged: remove it, or leave export.layout out"
    )
    assert mistakes(recipe_file(tmp_path, text)) == [f"mine.yaml:7: targets.1: {message}"]


def test_three_graphs_need_our_own_quantizer(tmp_path: Path) -> None:
    text = MINIMAL.replace("{onnx: {}}", "{onnx: {}, layout: staged}").replace("engine: elir", "engine: nncf")
    (line,) = mistakes(recipe_file(tmp_path, text))
    assert "export.layout: staged does not go with ptq's engine nncf" in line


def test_three_graphs_take_tiles_of_one_shape(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("{onnx: {}}", "{onnx: {}, layout: staged}") + "model: {image_sizes: [[256, 256], [128, 192]]}\n"
    )
    (line,) = mistakes(recipe_file(tmp_path, text))
    assert "export.layout: staged does not go with model.image_sizes: it takes pictures of any size" in line


def test_the_hash_depends_on_settings_not_on_spelling(tmp_path: Path) -> None:
    short = load_recipe(str(recipe_file(tmp_path, MINIMAL)))
    long = load_recipe(str(recipe_file(tmp_path, MINIMAL + "model: {seed: 0,\n  image_size: 256}\n")))
    other = load_recipe(str(recipe_file(tmp_path, MINIMAL + "model: {seed: 1}\n")))
    assert recipe_hash(short) == recipe_hash(long) != recipe_hash(other)


def test_the_resolved_recipe_loads_to_an_equal_one(tmp_path: Path) -> None:
    recipe = load_recipe("int8_sr", ["description='it''s: ü'"])
    again = load_recipe(str(recipe_file(tmp_path, to_yaml(recipe))))
    assert again == recipe
    assert recipe_hash(again) == recipe_hash(recipe)


TRAIN = "version: 1\nname: t\ndata: {train: [a]}\nstages:\n  - {space: latents, steps: 5, lr: 2e-4}\n"


def test_a_training_recipe_is_told_apart(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, TRAIN)
    assert mistakes(path) == [f"mine.yaml: is a training recipe: use `compress train {path.name}`"]
    trained = load_any(str(path), ["stages.0.steps=7"])
    assert isinstance(trained, TrainRecipe)
    assert (trained.stages[0].steps, trained.stages[0].lr) == (7, 2e-4)
    assert isinstance(load_any("int8_sr"), Recipe)


SET = "version: 1\nname: s\nsource: {kind: bundled, folder: validation}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SET + "degradation: [{kind: sr, scale: 3}]\n", "4: degradation.0.scale: must be one of 2, 4, 8, got 3"),
        (
            SET + "degradation: [{kind: blurr}]\n",
            "4: degradation.0: must be one of sr, noise, grey, blur, jpeg, motion, mask, blind_sr, blind_face, "
            "got 'blurr'",
        ),
        (SET + "degradation: [{sigma: 3}]\n", "4: degradation.0: is missing its key 'kind': add it"),
        (SET + "degradation: tsk\n", "4: degradation: must be one of task, got 'tsk', did you mean task?"),
        (SET + "crop: 100\n", "4: crop: must be a multiple of 32, got 100: the nearest are 96 and 128"),
        ("version: 1\nname: s\nsource: {kind: folder, folder: x}\n", "3: source.path: is missing: add it"),
        ("version: 1\nname: a/b\nsource: {kind: folder, path: x}\n", "2: name: must be letters, digits, '.', '_' and"),
        ("version: 2\nname: s\nsource: {kind: folder, path: x}\n", "1: version: must be one of 1, got 2"),
    ],
)
def test_mistakes_in_a_set(tmp_path: Path, text: str, message: str) -> None:
    path = recipe_file(tmp_path, text)
    with pytest.raises(InputError) as error:
        load_model(CalibrationSet, path)
    assert any(line.startswith(f"{path}:{message}") for line in str(error.value).splitlines())


def test_built_in_sets_load() -> None:
    for path in data_folder("calibration").glob("*.yaml"):
        assert load_model(CalibrationSet, path).name == path.stem
    assert find("calibration", "photos_calibration").is_file()


@pytest.mark.parametrize(
    ("text", "value"),
    [("photo #1", "photo #1"), ("#1", "#1"), ("a#b", "a#b"), ('"x # y"', "x # y"), ("[a, b]", ["a", "b"])],
)
def test_a_setting_has_no_comments(text: str, value: Any) -> None:
    assert parse_value(text, "--set") == value


@pytest.mark.parametrize("items", ["targets: [{}]", "targets: [{}]\ndata: {{validation: [{}]}}"])
def test_a_thousand_mistakes_are_not_a_thousand_lines(items: str, tmp_path: Path) -> None:
    text = items.format("unknown, " * 3000, "1, " * 3000)
    (tmp_path / "r.yaml").write_text(f"version: 1\nname: r\npasses: [collapse: {{}}]\n{text}\n")
    with pytest.raises(InputError) as caught:
        load_recipe(str(tmp_path / "r.yaml"))
    lines = str(caught.value).splitlines()
    assert len(lines) == MOST_MISTAKES + 1 and lines[-1].endswith(" more mistakes")
