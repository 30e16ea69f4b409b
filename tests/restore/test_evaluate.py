"""Quality beside the input's, of a checkpoint and of an artifact."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from compress.bundle.manifest import write_manifest
from compress.data.degradations import degrade
from compress.data.sets import NO_TRUTH
from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir, ElirConfig
from compress.errors import InputError
from compress.measure.niqe import niqe
from compress.measure.quality import score
from compress.passes.base import Subject
from compress.passes.collapse import Collapse
from compress.passes.fold_time import FoldTime
from compress.progress import Progress
from compress.recipe.degradation import SuperResolution
from compress.recipe.passes import CollapseSettings, FoldTimeSettings
from compress.restore.evaluate import Evaluation, evaluate
from compress.restore.figures import COLUMNS, JudgeOptions
from compress.restore.open import Settings

SILENT = Progress("silent")
SEED_0 = JudgeOptions()
TRAINING = "5 steps of 2 on pixel crops of 64 px, dec learning, 1 l1 + 0.3 lpips, lr 0.0002"
FACTS = {"task": "sr_x4", "training": TRAINING, "data": "2 pictures", "licence": "MIT", "notes": "for tests"}
SET = """
version: 1
name: corners
source: {kind: folder, path: pictures}
crop: 64
"""


def seeded(seed: int) -> JudgeOptions:
    return JudgeOptions(Settings(seed=seed))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def folder(place: Path, photo: np.ndarray) -> Path:
    """Two pictures whose sides are not multiples of 4."""
    folder = place / "pictures"
    folder.mkdir()
    Image.fromarray(photo[:70, :99]).save(folder / "a.png")
    Image.fromarray(photo[100:167, 50:115]).save(folder / "b.png")
    return folder


@pytest.fixture(scope="module")
def checkpoint(place: Path) -> Path:
    torch.manual_seed(0)
    path = place / "tiny.safetensors"
    facts = {**FACTS, "recipe": "r", "recipe_hash": "0123456789abcdef" * 4}
    save_checkpoint(Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1)), path, facts)
    return path


@pytest.fixture(scope="module")
def evaluation(checkpoint: Path, folder: Path) -> Evaluation:
    return evaluate(str(checkpoint), [str(folder)], SEED_0, SILENT)


def test_folder_is_measured_whole_beside_bicubic(evaluation: Evaluation, photo: np.ndarray) -> None:
    result = evaluation.results[0]
    clean = [photo[:68, :96], photo[100:164, 50:114]]
    wanted = score([degrade(np.ascontiguousarray(p), [SuperResolution(scale=4)], 0) for p in clean], clean, border=4)
    assert (result.dataset, result.whole) == ("pictures", True)
    assert {k: getattr(result.scores["input"], k) for k in asdict(wanted)} == asdict(wanted)
    assert result.scores["model"].n == 2
    assert result.scores["model"].psnr_db < wanted.psnr_db  # random weights


def test_model_s_pictures_are_what_restore_gives(checkpoint: Path, folder: Path, photo: np.ndarray) -> None:
    from compress.elir import load_checkpoint
    from compress.elir.restore import TorchNetworks, restore_staged
    from compress.elir.tiles import Tiling

    clean = [np.ascontiguousarray(p) for p in (photo[:68, :96], photo[100:164, 50:114])]
    model = load_checkpoint(checkpoint)
    low = [
        np.asarray(Image.fromarray(p).resize((p.shape[1] // 4, p.shape[0] // 4), Image.Resampling.BICUBIC))
        for p in clean
    ]
    wanted = score([restore_staged(p, TorchNetworks(model), Tiling(4), seed=7) for p in low], clean, border=4)
    given = evaluate(str(checkpoint), [str(folder)], seeded(7), SILENT).results[0].scores["model"]
    assert given.psnr_db == pytest.approx(wanted.psnr_db, abs=1e-6)
    assert given.lpips == pytest.approx(wanted.lpips, abs=1e-5)


def test_set_is_measured_as_it_crops(checkpoint: Path, folder: Path) -> None:
    path = folder.parent / "corners.yaml"
    path.write_text(SET)
    result = evaluate(str(checkpoint), [str(path)], SEED_0, SILENT).results[0]
    assert (result.dataset, result.whole, result.scores["model"].n) == ("corners", False, 2)


def identity_artifact(folder: Path, task: str | None) -> Path:
    """An ONNX artifact of 128 px that gives its input back, in a bundle."""
    import onnx
    from onnx import TensorProto, helper

    shapes = {"lq": [1, 3, 128, 128], "noise": [1, 16, 16, 16]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("hq", TensorProto.FLOAT, shapes["lq"])
    graph = helper.make_graph([helper.make_node("Identity", ["lq"], ["hq"])], "identity", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = folder / "fp32" / "onnx" / "model.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(model, path)
    entry = "fp32/onnx/model.onnx"
    facts = {"id": "onnx-fp32", "format": "onnx", "precision": "fp32", "entry": entry, "task": task}
    write_manifest(folder, {"artifacts": [facts]}, [entry])
    return path


@pytest.mark.parametrize("bundle", [True, False])
def test_artifact_that_changes_nothing_scores_as_bicubic(folder: Path, tmp_path: Path, bundle: bool) -> None:
    path = identity_artifact(tmp_path / "bundle", "sr_x4")
    source = tmp_path / "bundle" if bundle else path
    result = evaluate(str(source), [str(folder)], SEED_0, SILENT).results[0]
    assert result.scores["model"] == result.scores["input"]
    assert (result.lpips_below_input, result.psnr_against_input_db) == (0, 0)


def test_json_and_table(evaluation: Evaluation) -> None:
    data = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert (data["task"], data["seed"]) == ("sr_x4", 0)
    assert data["results"][0]["bicubic"].keys() == {*COLUMNS, "niqe", "n"}
    table = evaluation.table()
    assert table.row_count == 2
    assert list(table.columns[2].cells) == ["model", "bicubic"]
    assert [column.header for column in table.columns][-1] == "NIQE"


def test_csv_holds_every_picture(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.write_csv(tmp_path / "figures.csv")
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["dataset"], r["picture"], r["by"]) for r in rows] == [
        ("pictures", name, by) for name in ("a.png", "b.png") for by in ("model", "bicubic")
    ]
    mean = sum(float(r["lpips"]) for r in rows if r["by"] == "model") / 2
    assert mean == pytest.approx(evaluation.results[0].scores["model"].lpips)


def test_denoiser_is_measured_beside_its_noisy_input(folder: Path, tmp_path: Path, photo: np.ndarray) -> None:
    identity_artifact(tmp_path / "bundle", "denoise")
    actual = evaluate(str(tmp_path / "bundle"), [str(folder)], SEED_0, SILENT)
    given = actual.results[0].scores["input"]
    # Noise of sigma 25 alone would give 20.17 dB; what it loses by clipping depends on the picture.
    assert 20.1 < given.psnr_db < 21.5
    assert actual.to_json()["results"][0]["noisy input"]["n"] == 2
    assert evaluate(str(tmp_path / "bundle"), [str(folder)], SEED_0, SILENT).results == actual.results


def test_niqe_is_of_the_pictures_that_are_large_enough(
    checkpoint: Path, tmp_path: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo[:200, :208]).save(tmp_path / "large.png")
    Image.fromarray(photo[:196, :208]).save(tmp_path / "small.png")
    actual = evaluate(str(checkpoint), [str(tmp_path)], SEED_0, Progress("lines"))
    low = degrade(np.ascontiguousarray(photo[:200, :208]), [SuperResolution(scale=4)], 0)
    wanted = niqe(low, border=4)
    result = actual.results[0]
    assert wanted is not None
    assert [figures["input"].others["niqe"] for _, figures in result.pictures] == [wanted, None]
    assert result.scores["input"].others["niqe"] == wanted
    note = (
        "niqe is missing for 1 of 2 pictures (small.png): it needs 192 px a side inside a border of 4 px, and texture"
    )
    assert actual.to_json()["results"][0]["notes"] == [note]
    assert f"{tmp_path.name}: {note}" in capsys.readouterr().err
    assert actual.table().caption == f"{tmp_path.name}: {note}"
    actual.write_csv(tmp_path / "figures.csv")
    lines = (tmp_path / "figures.csv").read_text().splitlines()
    assert [line.endswith(",") for line in lines] == [False, False, False, True, True]


def test_niqe_of_small_pictures_only_is_null(evaluation: Evaluation) -> None:
    assert evaluation.to_json()["results"][0]["model"]["niqe"] is None
    assert list(evaluation.table().columns[-1].cells) == ["-", "-"]


# --- every runtime --------------------------------------------------------------------------------------------


ARTIFACTS = {"onnx": "model.onnx", "openvino": "model.xml", "executorch": "model.pte"}


@pytest.fixture(scope="module")
def deployed(place: Path) -> dict[str, Path]:
    """A checkpoint of one Euler step, ``torch``, and its deployed form for 64 px in every runtime, in one bundle."""
    from compress.artifacts.export.to_executorch import save_executorch, to_executorch
    from compress.artifacts.export.to_onnx import save_onnx, to_onnx
    from compress.artifacts.export.to_openvino import save_openvino, to_openvino

    torch.manual_seed(0)
    model = Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, k_steps=1)).eval().requires_grad_(False)
    folder = place / "bundle"
    files = {"torch": folder / "one_step.safetensors", **{n: folder / n / file for n, file in ARTIFACTS.items()}}
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(
        model, files["torch"], {**FACTS, "recipe": "r", "recipe_hash": "0123456789abcdef" * 4}, torch.float32
    )
    subject = Subject(model, lambda: iter(()), 0, (64, 64), ())
    Collapse(CollapseSettings()).run(subject)
    FoldTime(FoldTimeSettings()).run(subject)
    graph = to_onnx(model, (64, 64))
    save_onnx(graph, files["onnx"])
    save_openvino(to_openvino(graph), files["openvino"])
    save_executorch(to_executorch(model, (64, 64)), files["executorch"])
    facts = [
        {"id": f"{n}-fp32", "format": n, "precision": "fp32", "entry": f"{n}/{f}", "task": "sr_x4"}
        for n, f in ARTIFACTS.items()
    ]
    write_manifest(folder, {"artifacts": facts}, [*(fact["entry"] for fact in facts), "openvino/model.bin"])
    return files


@pytest.mark.slow
def test_every_runtime_gives_the_checkpoint_s_figures(
    deployed: dict[str, Path], place: Path, photo: np.ndarray
) -> None:
    """One tile of 64 px, so that all draw the same noise."""
    folder = place / "tile"
    folder.mkdir()
    Image.fromarray(photo[96:160, 96:160]).save(folder / "tile.png")
    actual = {
        name: evaluate(str(path), [str(folder)], seeded(3), SILENT).results[0].scores["model"].values()
        for name, path in deployed.items()
    }
    wanted = actual.pop("torch")
    assert wanted.pop("niqe") is None
    for name, figures in actual.items():
        assert figures.pop("niqe") is None
        assert figures == pytest.approx(wanted, abs=2e-3), name


# --- what is refused ------------------------------------------------------------------------------------------


def test_no_sets(checkpoint: Path) -> None:
    with pytest.raises(InputError, match=r"no pictures to measure on: give a set or a folder \(--data\)"):
        evaluate(str(checkpoint), [], SEED_0, SILENT)


def test_empty_folder(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no pictures in this folder: check the path"):
        evaluate(str(checkpoint), [str(tmp_path / "empty")], SEED_0, SILENT)


def test_picture_too_small_for_lpips(checkpoint: Path, tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo[:34, :31]).save(tmp_path / "small.png")
    with pytest.raises(
        InputError, match=r"no picture can be measured: .*small\.png: 28 x 32 px, LPIPS needs 32 px a side"
    ):
        evaluate(str(checkpoint), [str(tmp_path)], SEED_0, SILENT)


def test_task_unknown(tiny_elir: Elir, tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "untold.safetensors"
    save_checkpoint(tiny_elir, path, {})
    with pytest.raises(InputError, match=r"does not say what it is for: give task \(--task: sr_x2, "):
        evaluate(str(path), [str(folder)], SEED_0, SILENT)


@pytest.fixture(scope="module")
def paired(place: Path, photo: np.ndarray) -> Path:
    """pairs.yaml and alone.yaml over a picture of 256 px and the same, darker."""
    for name, picture in (("high", photo), ("low", photo // 2)):
        (place / name).mkdir()
        Image.fromarray(picture).save(place / name / "p.png")
    (place / "pairs.yaml").write_text("version: 1\nname: pairs\npairs: {low: low, high: high}\n")
    (place / "alone.yaml").write_text("version: 1\nname: alone\npairs: {low: low, enlarged: true}\n")
    return place


def test_given_pairs_are_measured_as_they_are(paired: Path, checkpoint: Path, photo: np.ndarray) -> None:
    result = evaluate(str(checkpoint), [str(paired / "pairs.yaml")], SEED_0, SILENT).results[0]
    assert result.scores["input"].psnr_db == score([photo // 2], [photo]).psnr_db


def test_without_truth_niqe_stands_alone(paired: Path, checkpoint: Path, photo: np.ndarray) -> None:
    actual = evaluate(str(checkpoint), [str(paired / "alone.yaml")], SEED_0, SILENT)
    values = actual.results[0].scores["input"].values()
    assert values == {**dict.fromkeys(COLUMNS), "niqe": niqe(photo // 2, 4)}
    assert actual.results[0].notes == [NO_TRUTH]
    shown = io.StringIO()
    Console(file=shown, width=200).print(actual.table())
    assert "no true pictures" in shown.getvalue()
    actual.write_csv(paired / "alone.csv")
    assert (paired / "alone.csv").read_text().splitlines()[1].startswith("alone,p,model,,,,,,")


def test_a_card_needs_truth(paired: Path, checkpoint: Path) -> None:
    with pytest.raises(InputError, match="no true picture, which the autoencoder would rebuild: leave the set out"):
        evaluate(str(checkpoint), [str(paired / "alone.yaml")], JudgeOptions(ceiling="tae16"), SILENT)
