"""`apply` end to end on a small model: what a bundle holds, what a second run reuses, and how each mistake ends."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

import compress
from compress.bundle.manifest import read_manifest
from compress.bundle.open import check_files, open_bundle
from compress.bundle.verify import verify
from compress.cli.commands import app
from compress.errors import InputError, VerificationError
from compress.files import sha256_file
from compress.passes.quantize.engines import elir
from compress.pipeline import apply, bench
from compress.pipeline.dry_run import Plan
from compress.progress import Progress
from compress.recipe.load import to_yaml
from compress.recipe.schema import Recipe

Make = Callable[..., Recipe]
IDS = ["openvino-fp32", "onnx-fp32", "openvino-int8", "onnx-int8", "onnx-int8-tensorrt"]


def again(recipe: Recipe, out: Path, resume: bool = True) -> Any:
    return compress.apply(recipe, out, resume=resume, progress=Progress("silent"))


def cli(recipe: Recipe, folder: Path, *args: str) -> Result:
    """``compress apply`` of ``recipe``; stdout and stderr apart."""
    (folder / "recipe.yaml").write_text(to_yaml(recipe))
    return CliRunner().invoke(app, ["apply", str(folder / "recipe.yaml"), "--out", str(folder / "out"), *args])


def never(*args: object) -> None:
    raise AssertionError("this stage was finished")


# --- what a bundle holds --------------------------------------------------------------------------------------


def test_the_manifest_lists_every_file_by_its_hash(finished: Any) -> None:
    listed = {file.path: file for file in read_manifest(finished.folder).files}
    actual = {p.relative_to(finished.folder).as_posix() for p in finished.folder.rglob("*") if p.is_file()}
    own = {p for p in actual if p.startswith(".stages/") or p in (".lock", ".compress.json")}
    assert set(listed) == actual - own - {"manifest.json"}
    assert {"recipe.yaml", "results.json", "report.html"} <= set(listed)
    for name, entry in listed.items():
        assert entry.sha256 == sha256_file(finished.folder / name)
        assert entry.bytes == (finished.folder / name).stat().st_size


def test_the_manifest_tells_each_artifacts_interface(finished: Any) -> None:
    manifest = read_manifest(finished.folder)
    assert [a.id for a in manifest.artifacts] == IDS
    for artifact in manifest.artifacts:
        assert [(i.name, i.shape) for i in artifact.inputs] == [("lq", [1, 3, 64, 64]), ("noise", [1, 16, 8, 8])]
        assert [(o.name, o.shape) for o in artifact.outputs] == [("hq", [1, 3, 64, 64])]
        assert (artifact.task, artifact.k_steps, artifact.sigma_s) == ("sr_x4", 1, 0.1)
        assert artifact.entry in {file.path for file in manifest.files}
    assert manifest.recipe is not None and manifest.weights is not None
    assert manifest.weights.sha256 == sha256_file(Path(manifest.recipe.model["weights"]))
    assert {"recipe_sha256", "data", "versions", "seeds", "created"} <= manifest.model_fields_set


def test_results_have_the_fields_that_the_contract_names(finished: Any) -> None:
    results = json.loads((finished.folder / "results.json").read_text())
    assert results == finished.result.results
    assert [a["id"] for a in results["artifacts"]] == IDS
    assert [(q["artifact"], q["n"]) for q in results["quality"]] == [
        (name, 2) for name in ("openvino-fp32", "openvino-int8", "onnx-fp32", "onnx-int8", "onnx-int8-tensorrt")
    ]
    for entry in results["quality"]:
        compared = entry["artifact"].endswith("fp32")
        assert (entry["fidelity_db"] is None) is compared, "the fp32 artifact has nothing to differ from"
        assert entry["psnr_drop_db"] is None or abs(entry["psnr_drop_db"]) < 1
    assert [b["name"] for b in results["baselines"]] == ["bicubic"]
    assert results["performance"] == []
    assert [set(a["weights"]) for a in results["artifacts"]] == [{"32"}, {"32"}, {"8"}, {"8", "32"}, {"8"}]
    assert all(a["size_ratio"] < 0.5 for a in results["artifacts"] if a["precision"] == "int8")
    assert not list(finished.folder.rglob(".part-*"))


def test_float_artifacts_equal_torch_and_int8_ones_their_simulation(finished: Any) -> None:
    parity = {p["artifact"]: p for p in finished.result.results["parity"]}
    assert list(parity) == IDS
    for name in IDS[:2]:
        assert parity[name]["against"] == "torch-fp32" and parity[name]["psnr_db"] >= 60
    for name in IDS[2:]:
        assert parity[name]["against"] == "simulated-int8" and parity[name]["met"], parity[name]
    kept = [sample["simulated"] for sample in finished.result.results["samples"]]
    assert not any(kept[1:]) and list(kept[0]) == [name for name in IDS if "int8" in name]
    listed = {f.path for f in read_manifest(finished.folder).files}
    assert listed.issuperset(kept[0].values())
    assert finished.result.exit_code == 0


def test_error_is_told_by_stage_and_layer(finished: Any) -> None:
    results = finished.result.results
    stages = {(s["mode"], s["stage"]) for s in results["stages"]}
    names = {"latent", "mmse", "step_1", "output"}
    assert stages == {(mode, name) for mode in ("free_running", "teacher_forced") for name in names}
    assert all(15 < s["sqnr_db"] < 150 for s in results["stages"])
    assert {layer["stage"] for layer in results["layers"]} == {"enc", "mmse", "fmir", "dec"}
    onnx = {a["id"] for a in results["artifacts"] if a["format"] == "onnx" and "tensorrt" not in a["id"]}
    assert {share["artifact"] for share in results["shares"]} == onnx
    assert {"encoder", "flow, step 1", "decoder"} <= {share["stage"] for share in results["shares"] if share["ms"]}


def test_where_the_time_went_is_kept_and_told(finished: Any) -> None:
    results = finished.result.results
    stages = [stage["stage"] for stage in results["seconds_by_stage"]]
    assert "parity" in stages and "sample pictures" in stages, "what the resumed run did"
    assert not any(stage.startswith("write ") for stage in stages), "what the interrupted run had finished"
    assert stages.index("load the model") < stages.index("ptq") < stages.index("parity"), "none is part of another"
    assert sum(stage["seconds"] for stage in results["seconds_by_stage"]) <= results["seconds"] + 0.1 * len(stages)
    console = Console(file=io.StringIO(), width=200)
    console.print(finished.result.table())
    message = console.file.getvalue().partition("where the time went: ")[2].partition("all else")[0]  # type: ignore[attr-defined]
    assert message and not re.search(r" 0 s[,;]", message)


def test_samples_are_pictures_in_the_bundle(finished: Any) -> None:
    for sample in finished.result.results["samples"]:
        assert list(sample["outputs"]) == IDS
        assert all((finished.folder / p).read_bytes().startswith(b"\x89PNG") for p in sample["outputs"].values())


def test_nothing_of_the_machine_is_in_an_artifact(finished: Any, tiny_inputs: Path) -> None:
    places = [str(Path(compress.__file__).parent).encode(), str(tiny_inputs).encode(), b"/tmp", b"site-packages"]
    for path in finished.folder.rglob("model*"):
        assert not [place for place in places if place in path.read_bytes()], path


# --- again ----------------------------------------------------------------------------------------------------


def test_an_interrupted_run_resumes_at_the_last_finished_stage(finished: Any) -> None:
    assert len(finished.files) == 7
    for name, mtime in finished.files.items():
        assert (finished.folder / name).stat().st_mtime_ns == mtime, f"{name} was written again"


def test_an_unchanged_recipe_is_only_checked(finished: Any, tiny_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply.Run, "run", never)
    result = again(tiny_recipe(), finished.folder)
    assert (result.reused, result.results, result.exit_code) == (True, finished.result.results, 0)


def test_a_target_whose_file_was_edited_is_measured_again(bundle: Path, tiny_recipe: Make, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    text = "version: 1\nname: mine\ndescription: {}\nruntime: onnxruntime\nformat: onnx\nreach: local\nthreads: {}\n"
    made = []
    for prose, threads in (("a", 1), ("a", 1), ("b", 1), ("b", 2)):
        target.write_text(text.format(prose, threads))
        made.append(again(tiny_recipe(targets=[str(target)]), bundle))
    assert [result.reused for result in made] == [False, True, True, False]
    assert {entry["threads"] for entry in made[-1].results["performance"]} == {2}


def test_a_changed_artifact_fails_verification_and_is_written_again(bundle: Path, tiny_recipe: Make) -> None:
    path = bundle / "fp32/onnx/model.onnx"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(VerificationError, match=r"fp32/onnx/model\.onnx: differs from its hash in the manifest$"):
        verify(bundle, Progress("silent"))
    others = {p: p.stat().st_mtime_ns for p in bundle.rglob("model*") if p != path}
    result = again(tiny_recipe(), bundle)
    assert not result.reused
    assert path.read_bytes() == good
    assert {p: p.stat().st_mtime_ns for p in others} == others
    check_files(open_bundle(bundle))


def test_a_calibration_is_kept(bundle: Path, tiny_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was killed between calibrating and its last int8 file does not calibrate again."""
    monkeypatch.setattr(elir, "settle", never)
    path = bundle / "int8/onnx/model.onnx"
    good = path.read_bytes()
    path.unlink()
    again(tiny_recipe(), bundle)
    assert path.read_bytes() == good


def test_other_validation_pictures_measure_again(
    bundle: Path, tiny_inputs: Path, tiny_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply.Run, "_write", never)  # they are not part of what artifacts depend on
    shutil.copytree(tiny_inputs / "validation", tmp_path / "validation")
    data = {"calibration": str(tiny_inputs / "calibration"), "validation": [str(tmp_path / "validation")]}
    assert not again(tiny_recipe(data=data), bundle).reused, "the recipe names another folder"
    assert again(tiny_recipe(data=data), bundle).reused
    (tmp_path / "validation/validation1.png").unlink()
    result = again(tiny_recipe(data=data), bundle)
    assert not result.reused
    assert {q["n"] for q in (*result.results["quality"], *result.results["baselines"])} == {1}
    assert len(result.results["samples"]) == 1
    check_files(open_bundle(bundle))


def test_a_missed_goal_ends_in_3_with_the_bundle_written(
    bundle: Path, tiny_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("_write", "_parity"):
        monkeypatch.setattr(apply.Run, stage, never)  # goals are not part of what artifacts depend on
    result = again(tiny_recipe(goals={"fidelity_db": 149.0, "size_ratio": 0.9}), bundle)
    goals = {(g["goal"], g["artifact"]): g["met"] for g in result.results["goals"]}
    assert goals[("fidelity_db", "onnx-int8")] is False and goals[("size_ratio", "onnx-int8")] is True
    assert (result.exit_code, result.results["goals_met"]) == (3, False)
    assert json.loads((bundle / "results.json").read_text())["goals_met"] is False
    check_files(open_bundle(bundle))


def test_artifacts_that_a_recipe_no_longer_asks_for_are_removed(bundle: Path, tiny_recipe: Make) -> None:
    # The key covers the exports, so this is a run of its own; floats alone need no calibration.
    export = {"onnx": {"precisions": ["fp32"]}}
    again(tiny_recipe(export=export), bundle)
    assert [p.relative_to(bundle).as_posix() for p in bundle.rglob("model*")] == ["fp32/onnx/model.onnx"]


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_bytes(finished: Any, tiny_recipe: Make, tmp_path: Path) -> None:
    again(tiny_recipe(), tmp_path / "again", resume=False)
    for path in finished.folder.rglob("model*"):
        assert sha256_file(tmp_path / "again" / path.relative_to(finished.folder)) == sha256_file(path), path


@pytest.mark.slow
def test_executorch_is_as_near_to_its_simulation_and_a_third_of_the_size(tiny_recipe: Make, tmp_path: Path) -> None:
    result = again(tiny_recipe(export={"executorch": {"precisions": ["fp32", "int8"]}}), tmp_path / "out")
    parity = {p["artifact"]: p for p in result.results["parity"]}
    assert parity["executorch-fp32"]["psnr_db"] >= 60
    assert parity["executorch-int8"]["met"], parity["executorch-int8"]
    assert result.results["artifacts"][1]["size_ratio"] < 0.33
    # Some engines' graphs are lowered by this process, in minutes that were nobody's.
    assert "write executorch-int8" in [stage["stage"] for stage in result.results["seconds_by_stage"]]


@pytest.mark.slow
def test_a_target_is_measured_and_speed_judged(bundle: Path, tiny_recipe: Make) -> None:
    goal = {"speedup": {"vs": "fp32", "min": 1000.0}}
    result = again(tiny_recipe(targets=["x86-onnxruntime"], goals=goal), bundle)
    timed = {p["artifact"]: p for p in result.results["performance"]}
    assert set(timed) == {"onnx-fp32", "onnx-int8"}
    assert timed["onnx-int8"]["evidence"] == "measured" and timed["onnx-int8"]["latency_ms"]["n"] >= 20
    assert [(g["goal"], g["artifact"], g["met"]) for g in result.results["goals"]] == [
        ("speedup_vs_fp32", "onnx-int8", False)
    ]
    measured = bench.bench(bundle, "x86-onnxruntime", Progress("silent"))
    assert {entry.artifact for entry in measured.performance} == set(timed)


def test_a_tool_that_is_not_set_up_costs_its_figures_only(
    bundle: Path, tiny_recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply.Run, "_write", never)
    recipe = tiny_recipe(targets=["jetson-orin-nano"], goals={"fidelity_db": 1.0, "breaches": 0})
    for _ in range(2):  # nothing of it is remembered as done
        result = again(recipe, bundle)
        assert (result.exit_code, result.reused) == (4, False)
        (why,) = result.unavailable
        assert why.startswith("target jetson-orin-nano: tensorrt-rtx is not set up here") and "\n" not in why
        message = {p["artifact"]: (p["evidence"], p["why"]) for p in result.results["performance"]}
        assert message == dict.fromkeys(("onnx-fp32", "onnx-int8-tensorrt"), ("unavailable", why))
    goals = [(g["goal"], g["artifact"], g["met"]) for g in result.results["goals"]]
    assert goals == [("fidelity_db", "onnx-int8-tensorrt", True), ("breaches", "onnx-int8-tensorrt", False)]
    check_files(open_bundle(bundle))


def test_a_dry_run_tells_what_is_not_set_up(tiny_recipe: Make, tmp_path: Path) -> None:
    done = cli(tiny_recipe(targets=["jetson-orin-nano"]), tmp_path, "--dry-run", "--json")
    assert (done.exit_code, json.loads(done.stdout)["targets"]) == (0, ["jetson-orin-nano"])
    assert "tensorrt-rtx is not set up here" in done.stderr
    (why,) = json.loads(done.stdout)["unavailable"]
    assert why in done.stderr


# --- plans and mistakes ---------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_prints_one_document(tiny_recipe: Make, tmp_path: Path) -> None:
    done = cli(tiny_recipe(), tmp_path, "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert (done.exit_code, plan["dry_run"], plan["passes"]) == (0, True, ["collapse", "fold_time", "ptq"])
    assert [a["id"] for a in plan["artifacts"]] == IDS
    assert plan["data"] == {"calibration": 8, "validation": 2}
    assert not (tmp_path / "out").exists()


def test_a_dry_run_from_python_is_a_plan(tiny_recipe: Make, tmp_path: Path) -> None:
    assert isinstance(compress.apply(tiny_recipe(), tmp_path / "out", dry_run=True), Plan)


def spoiled(source: Path, to: Path, how: str) -> Path:
    """A checkpoint that is missing, cut short, or holds a NaN."""
    if how == "truncated":
        to.write_bytes(source.read_bytes()[:200_000])
    elif how == "nan":
        state = load_file(source)
        state["mmse.conv_first.weight" if "mmse.conv_first.weight" in state else min(state)].view(-1)[0] = torch.nan
        save_file(state, to, {"k_steps": "1", "sigma_s": "0.1"})
    return to


@pytest.mark.parametrize(
    ("how", "code", "text"),
    [("missing", 2, "no such"), ("truncated", 5, "refused"), ("nan", 5, "NaN")],
)
def test_bad_weights(how: str, code: int, text: str, tiny_inputs: Path, tiny_recipe: Make, tmp_path: Path) -> None:
    weights = spoiled(tiny_inputs / "tiny.safetensors", tmp_path / "bad.safetensors", how)
    done = cli(tiny_recipe(model={"weights": str(weights), "image_size": 64}), tmp_path)
    last = done.stderr.splitlines()[-1]
    assert (done.exit_code, done.stdout) == (code, "")
    assert str(weights) in last and text in last, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_shared_picture_is_refused(tiny_inputs: Path, tiny_recipe: Make, tmp_path: Path) -> None:
    shutil.copytree(tiny_inputs / "validation", tmp_path / "mixed")
    shutil.copy(tiny_inputs / "calibration/calibration3.png", tmp_path / "mixed/other_name.png")
    data = {"calibration": str(tiny_inputs / "calibration"), "validation": [str(tmp_path / "mixed")]}
    done = cli(tiny_recipe(data=data), tmp_path)
    assert done.exit_code == 2
    assert re.search(r"share a picture: .*calibration3.* and .*other_name.* hold the same pixels", done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_too_few_pictures(tiny_inputs: Path, tiny_recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    for i in range(3):
        shutil.copy(tiny_inputs / f"calibration/calibration{i}.png", tmp_path / "few")
    data = {"calibration": str(tmp_path / "few"), "validation": [str(tiny_inputs / "validation")]}
    export = {"onnx": {"precisions": ["int8"]}}
    with pytest.raises(InputError, match=r"data\.calibration: 3 pictures are too few for ptq, it needs 8 or more"):
        again(tiny_recipe(data=data, export=export), tmp_path / "out")


def test_an_output_folder_that_cannot_be_written(tiny_recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    done = cli(tiny_recipe(), tmp_path)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.endswith("is a file: name a folder (--out)\n")


def test_weights_alone(tiny_recipe: Make, tmp_path: Path) -> None:
    both = {"precisions": ["fp32", "weights"]}
    passes = [{"collapse": {}}, {"fold_time": {}}, {"weights": {"bits": 4, "group": 8}}]
    recipe = tiny_recipe(passes=passes, export={"openvino": both, "onnx": both}, goals={"size_ratio": 0.2})
    results = again(recipe, tmp_path / "out").results
    assert results["goals_met"] and [goal["artifact"] for goal in results["goals"]] == [
        "openvino-weights",
        "onnx-weights",
    ]
    for artifact in results["artifacts"][2:]:
        assert artifact["entry"].startswith("weights/") and artifact["weights"]["4"] > 2_000_000
    assert [p["against"] for p in results["parity"][2:]] == ["rounded-fp32"] * 2
    assert all(p["met"] and p["psnr_db"] > 60 for p in results["parity"])
    assert len(verify(tmp_path / "out", Progress("silent")).parity) == 4


def test_int8_without_a_quantizing_pass(tiny_recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"export\.openvino: int8 needs a quantizing pass: add ptq to passes"):
        again(tiny_recipe(passes=[{"collapse": {}}]), tmp_path / "out")


# --- pictures that are given in pairs, or without truth -------------------------------------------------------


def test_low_pictures_alone_calibrate_and_validate(tiny_recipe: Make, tiny_inputs: Path, tmp_path: Path) -> None:
    for name in ("calibration", "validation"):
        pairs = f"{{low: {tiny_inputs / name}, enlarged: true}}"
        (tmp_path / f"{name}.yaml").write_text(f"version: 1\nname: {name}_alone\npairs: {pairs}\n")
    data = {"calibration": str(tmp_path / "calibration.yaml"), "validation": [str(tmp_path / "validation.yaml")]}
    export = {"onnx": {"precisions": ["fp32", "int8"], "tensorrt": False}}
    result = again(tiny_recipe(data=data, export=export, goals={"fidelity_db": 30}), tmp_path / "out")
    int8 = next(e for e in result.results["quality"] if e["artifact"] == "onnx-int8")
    assert int8["dataset"] == "validation_alone" and int8["fidelity_db"] > 30 and int8["psnr_db"] is None
    assert result.results["goals_met"] and [g["goal"] for g in result.results["goals"]] == ["fidelity_db"]
    assert any(note.startswith("validation_alone: no true pictures") for note in result.results["notes"])
    assert not list((tmp_path / "out/samples").glob("*_clean.png"))
    assert "no true pictures" in (tmp_path / "out/report.html").read_text()
    assert verify(tmp_path / "out", Progress("silent")).parity
    shown = io.StringIO()
    Console(file=shown, width=200).print(result.table())
    assert "onnx-int8" in shown.getvalue()
