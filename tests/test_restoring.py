"""`compress restore` from files to files: any source, any picture, nothing half written, every failure named."""

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir
from compress.errors import InputError
from compress.progress import Progress
from compress.restoring import destinations, restore_pictures

SILENT = Progress("silent")


def write_artifact(path: Path, side: int = 64) -> Path:
    """An ONNX file with an artifact's inputs that darkens the picture by half."""
    ports = {"lq": [1, 3, side, side], "noise": [1, 16, side // 8, side // 8], "hq": [1, 3, side, side]}
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ports.items()}
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])
    node = helper.make_node("Mul", ["lq", "half"], ["hq"])
    graph = helper.make_graph([node], "darken", [infos["lq"], infos["noise"]], [infos["hq"]], [half])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.fixture()
def artifact(tmp_path: Path) -> str:
    return str(write_artifact(tmp_path / "model.onnx"))


@pytest.fixture()
def folder(tmp_path: Path, photo: np.ndarray) -> Path:
    """Three pictures, one of them in a folder below."""
    (tmp_path / "in/below").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "below/c.webp"):
        Image.fromarray(photo[:40, :50]).save(tmp_path / "in" / name)
    return tmp_path / "in"


def run(source: str, pictures: list[Path], out: Path, **options: object) -> list[Path]:
    settings: dict = {"tile": None, "overlap": 32, "seed": 0, **options}
    return restore_pictures(source, pictures, out, progress=SILENT, **settings)


def test_one_picture_to_one_file(artifact: str, folder: Path, tmp_path: Path, photo: np.ndarray) -> None:
    written = run(artifact, [folder / "a.png"], tmp_path / "restored.png", scale=2)
    assert written == [tmp_path / "restored.png"]
    with Image.open(written[0]) as out:
        wanted = np.asarray(Image.fromarray(photo[:40, :50]).resize((100, 80), Image.Resampling.BICUBIC))
        assert np.abs(np.asarray(out) - wanted / 2).max() <= 1


def test_a_folder_keeps_names_and_nesting(artifact: str, folder: Path, tmp_path: Path) -> None:
    written = run(artifact, [folder], tmp_path / "out", scale=1)
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == ["a.png", "b.png", "below/c.png"]
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == ["a.png", "b.png", "c.png"]


def test_a_failed_picture_does_not_stop_the_others(artifact: str, folder: Path, tmp_path: Path) -> None:
    (folder / "empty.png").touch()
    with pytest.raises(InputError) as error:
        run(artifact, [folder], tmp_path / "out", scale=1)
    assert str(error.value).startswith("1 of 4 pictures failed, the others are restored: ")
    assert "empty.png: not a readable picture (the file is empty)" in str(error.value)
    said = io.StringIO()
    with pytest.raises(InputError) as error:  # whoever reads along is told once
        restore_pictures(artifact, [folder], tmp_path / "out", None, 32, 0, Progress("lines", said), scale=1)
    assert str(error.value) == "1 of 4 pictures failed, for the reasons above; the others are restored"
    assert said.getvalue().count("the file is empty") == 1
    assert len([p for p in (tmp_path / "out").rglob("*") if p.is_file()]) == 3


def test_a_checkpoint_with_its_task(tiny_elir: Elir, tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo[:12, :15]).save(tmp_path / "in.png")
    save_checkpoint(tiny_elir, tmp_path / "tiny.safetensors", {"task": "sr_x2"})
    run(str(tmp_path / "tiny.safetensors"), [tmp_path / "in.png"], tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.size == (30, 24)


def test_the_seed_is_taken(tiny_elir: Elir, tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo[:24, :24]).save(tmp_path / "in.png")
    save_checkpoint(tiny_elir, tmp_path / "tiny.safetensors", {"task": "sr_x2"})
    pictures = []
    for i, seed in enumerate((3, 3, 4)):
        run(str(tmp_path / "tiny.safetensors"), [tmp_path / "in.png"], tmp_path / f"{i}.png", seed=seed, scale=1)
        pictures.append((tmp_path / f"{i}.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_names_that_would_meet_stay_apart(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "a.jpg")
    names = [path.name for _, path in destinations([folder], tmp_path / "out")]
    assert names == ["a.jpg.png", "a.png.png", "b.png", "c.png"]
    with pytest.raises(InputError, match=r"c\.webp\.png: 2 of the pictures would get this name"):
        destinations([folder / "below", folder / "below/c.webp"], tmp_path / "out")


def test_inputs_are_never_replaced(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: would replace a picture to restore: choose another output folder"):
        destinations([folder], folder)
    with pytest.raises(InputError, match="would replace"):
        destinations([folder / "a.png"], folder / "a.png")


def test_an_output_folder_inside_the_input_is_not_restored_again(artifact: str, folder: Path) -> None:
    assert len(run(artifact, [folder], folder / "out", scale=1)) == 3
    assert len(run(artifact, [folder], folder / "out", scale=1)) == 3


@pytest.mark.parametrize(
    ("pictures", "out", "message"),
    [
        (["nowhere.png"], "out", r"nowhere\.png: no such picture: check the path"),
        (["empty"], "out", r"empty: no pictures in this folder: check the path"),
        (["in/a.png"], "out.gif", r"out\.gif: pictures are not written as \.gif: use one of \.png"),
        (["in"], "in/b.jpg", r"b\.jpg: is a file: name a folder for 3 pictures"),
    ],
)
def test_bad_paths(folder: Path, tmp_path: Path, pictures: list[str], out: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message) as error:
        destinations([tmp_path / name for name in pictures], tmp_path / out)
    assert "\n" not in str(error.value)


def test_a_picture_too_large_for_memory(artifact: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compress.elir import restore

    def exhausted(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(restore, "noise_field", exhausted)
    with pytest.raises(InputError, match=r"a\.png: 50 x 40 px, x2, do not fit in memory: cut it into smaller pictures"):
        run(artifact, [folder / "a.png"], folder / "out.png", scale=2)
    assert not (folder / "out.png").exists()


def test_progress_names_the_picture(artifact: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restore_pictures(artifact, [folder], folder / "out", None, 32, 0, Progress("lines"), scale=4)
    told = capsys.readouterr()
    assert "b.jpg (2 of 3)" in told.err
    assert told.out == ""
