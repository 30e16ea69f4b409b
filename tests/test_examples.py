"""The scripts and the notebook of examples/ run as they stand, and give what the package gives."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phone import save_turned
from PIL import Image

from compress.artifacts.artifact import Artifact
from compress.artifacts.writer import Writer
from compress.elir.checkpoint import load_checkpoint
from compress.elir.noise import noise_field
from compress.restore.open import Settings, open_restorer

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *args: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, str(EXAMPLES / name), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_every_script_says_how_to_run_it() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert re.search(rf"^python examples/{path.name} ", path.read_text(), re.MULTILINE), path.name


def test_apply_recipe(finished: Any, bundle: Path, tmp_path: Path) -> None:
    """The bundle is there already, and is reused."""
    done = run("apply_recipe.py", bundle / "recipe.yaml", bundle)
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, 5), done.stdout + done.stderr
    assert any(
        re.match(r"onnx-int8 +\d+\.\d\d MB +[+-]\d+\.\d{3} dB +\S+/int8/onnx/model\.onnx$", line) for line in lines
    )


def test_restore_folder(bundle: Path, photo: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_turned(photo[:40, :50], tmp_path / "in/a.png")
    done = run("restore_folder.py", bundle, tmp_path / "in", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("200 x 160 px\n")
    with Image.open(tmp_path / "out/a.png") as image:
        assert image.size == (200, 160)


@pytest.mark.parametrize("side", [(16, 16), (40, 50)])
def test_run_artifact_restores_as_the_package_does(
    bundle: Path, photo: np.ndarray, tmp_path: Path, side: tuple[int, int]
) -> None:
    """Of one tile and of several, to a step of rounding."""
    artifact = bundle / "fp32/onnx/model.onnx"
    small = photo[: side[0], : side[1]]
    save_turned(small, tmp_path / "a.png")
    done = run("run_artifact.py", artifact, tmp_path / "a.png", tmp_path / "b.png", 4)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "b.png") as image:
        ours = np.asarray(image, np.int16)
    wanted = open_restorer(str(artifact), Settings(overlap=32)).restore(small, lambda: None).astype(np.int16)
    assert ours.shape == wanted.shape
    difference = np.abs(ours - wanted)
    assert difference.max() <= 1


def test_the_example_gives_an_artifact_the_seed_of_each_tile(
    tiny_recipe: Callable[..., Any], photo: np.ndarray, tmp_path: Path
) -> None:
    recipe, artifact = tiny_recipe(export={"onnx": {}, "noise": "seed"}), Artifact("onnx", "fp32")
    Writer(recipe, tmp_path).write_float(load_checkpoint(recipe.model.weights), artifact)
    Image.fromarray(photo[:16, :16]).save(tmp_path / "a.png")
    done = run("run_artifact.py", tmp_path / artifact.entry, tmp_path / "a.png", tmp_path / "b.png", 4)
    assert done.returncode == 0, done.stderr
    wanted = open_restorer(str(tmp_path / artifact.entry), Settings()).restore(photo[:16, :16], lambda: None)
    with Image.open(tmp_path / "b.png") as image:
        assert np.abs(np.asarray(image, int) - wanted).max() <= 1


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """What a notebook would show below a cell: the value of its last line, where that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def test_the_notebook_runs(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom, on a small bundle in the place of the one that README's first command writes."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "runs").mkdir()
    bundle.rename(tmp_path / "runs/int8_sr")
    monkeypatch.chdir(tmp_path / "examples")
    notebook = json.loads((EXAMPLES / "first_hour.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells), "outputs are a reader's own"
    names: dict[str, Any] = {}
    shown = [run_cell("".join(cell["source"]), names) for cell in cells]
    assert repr(shown[0]) == "<Source elir_sr_x4_fast: sr_x4, enlarges 4 times>"
    assert shown[1] == (256, 320, 3) and shown[3].size == (320, 256)
    assert {"model", "input"} <= shown[6].keys()
    assert shown[8][0] > 0 and shown[8][1] == "measured"


@pytest.mark.needs("g++")
def test_the_c_plus_plus_program_runs_a_tile(bundle: Path, photo: np.ndarray, tmp_path: Path) -> None:
    import openvino

    folder = Path(openvino.__file__).parent
    library = next((folder / "libs").glob("libopenvino.so*"))
    build = ["g++", "-std=c++17", str(EXAMPLES / "run_tile.cpp"), f"-I{folder / 'include'}", str(library)]
    build += [f"-Wl,-rpath,{folder / 'libs'}", "-o", str(tmp_path / "run_tile")]
    subprocess.run(build, check=True, capture_output=True)
    lq = np.ascontiguousarray(photo[None, :64, :64].transpose(0, 3, 1, 2), np.float32) / 255
    noise = noise_field(64, 64, seed=0)[None]
    lq.tofile(tmp_path / "lq.bin")
    noise.tofile(tmp_path / "noise.bin")
    artifact = bundle / "fp32/openvino/model.xml"
    files = [str(tmp_path / name) for name in ("lq.bin", "noise.bin", "hq.bin")]
    subprocess.run([str(tmp_path / "run_tile"), str(artifact), *files], check=True)
    hq = np.fromfile(tmp_path / "hq.bin", np.float32).reshape(1, 3, 64, 64)
    compiled = openvino.Core().compile_model(artifact, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(hq - compiled({"lq": lq, "noise": noise})[0]).max() < 1e-4
    (tmp_path / "short.bin").write_bytes(b"\0" * 8)
    short = subprocess.run(
        [str(tmp_path / "run_tile"), str(artifact), str(tmp_path / "short.bin"), *files[1:]],
        capture_output=True,
        text=True,
    )
    assert (short.returncode, "shorter than the model's input" in short.stderr) == (1, True)


BLOCKS = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("format", ["onnx", "openvino", "executorch"])
def test_twenty_lines_restore_a_picture_as_the_package_does(
    format: str, picture_bundle: Path, photo: np.ndarray, tmp_path: Path
) -> None:
    """Those of docs/deploy_pictures.md, of one tile and of several, to a step of rounding."""
    page = EXAMPLES.parent / "docs/deploy_pictures.md"
    *runtimes, rest = BLOCKS.findall(page.read_text(encoding="utf-8"))
    assert len(rest.strip().splitlines()) <= 23 and all(len(block.strip().splitlines()) <= 10 for block in runtimes)
    (block,) = [block for block in runtimes if f"/{format}/model." in block]
    precision = "fp32" if format == "executorch" else "int8"
    path = next((picture_bundle / precision / format).glob("model.[xop]*"))
    lines = re.sub(r'"runs/\S+?"', f'"{path}"', block) + rest.replace("= 64, 4, 16", "= 16, 4, 8")
    pictures = {"one tile": photo[:16, :16], "several": photo[:40, :50]}
    for name, picture in pictures.items():
        (tmp_path / name).mkdir()
        save_turned(picture, tmp_path / name / "photo.png")
    # In one process: loading ExecuTorch takes seconds.
    each = (
        f"import os\nfor name in {list(pictures)}:\n    os.chdir(name)\n    exec({lines!r}, {{}})\n    os.chdir('..')"
    )
    done = subprocess.run([sys.executable, "-c", each], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    restorer = open_restorer(str(path), Settings(overlap=32))
    for name, picture in pictures.items():
        ours = np.asarray(Image.open(tmp_path / name / "restored.png"), np.int16)
        wanted = restorer.restore(picture, lambda: None).astype(np.int16)
        difference = np.abs(ours - wanted)
        assert ours.shape == wanted.shape
        assert difference.max() <= 1
