"""`compress restore` from files to files: any source, any picture, nothing half written, every failure named."""

import io
import re
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
from compress.restore.open import Settings
from compress.restore.pictures import destinations, restore_pictures

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
    frames = bool(options.pop("frames", False))
    settings = Settings(**{"overlap": 32, **options})  # type: ignore[arg-type]
    return restore_pictures(source, pictures, out, settings, SILENT, frames=frames)


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
        restore_pictures(artifact, [folder], tmp_path / "out", Settings(overlap=32, scale=1), Progress("lines", said))
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
        (["in/a.png"], "out.xyz", r"out\.xyz: pictures are not written as \.xyz: use one of \.png"),
        (["in"], "in/b.jpg", r"b\.jpg: is a file: name a folder for 3 pictures"),
    ],
)
def test_bad_paths(folder: Path, tmp_path: Path, pictures: list[str], out: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message) as error:
        destinations([tmp_path / name for name in pictures], tmp_path / out)
    assert "\n" not in str(error.value)


def test_an_output_behind_links_in_a_circle(artifact: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for out in ("circle", "circle/out.png"):
        with pytest.raises(InputError, match=r"cannot be written \("):
            run(artifact, [folder / "a.png"], tmp_path / out, scale=1)


def test_a_picture_too_large_for_memory(artifact: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from compress.elir import restore

    def exhausted(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(restore, "noise_field", exhausted)
    with pytest.raises(InputError, match=r"a\.png: 50 x 40 px, x2, do not fit in memory: cut it into smaller pictures"):
        run(artifact, [folder / "a.png"], folder / "out.png", scale=2)
    assert not (folder / "out.png").exists()


def test_progress_names_the_picture(artifact: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restore_pictures(artifact, [folder], folder / "out", Settings(overlap=32, scale=4), Progress("lines"))
    text = capsys.readouterr()
    lines = text.err.splitlines()
    amount = r"restoring 3 pictures: 0\.0\d\d megapixels, 0\.\d{3} after enlarging x4; "
    assert re.match(amount, lines[0]), lines[0]
    assert "b.jpg (2 of 3)" in text.err and "restore: 2 of 3" in text.err


def test_visible_blocks_of_jpeg_are_warned_of_whatever_the_file_is_now(
    artifact: str, tmp_path: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo).save(tmp_path / "coarse.jpg", quality=15)
    Image.open(tmp_path / "coarse.jpg").save(tmp_path / "again.png")
    Image.fromarray(photo).save(tmp_path / "fine.jpg", quality=95)
    for name, scale in (("coarse.jpg", 2), ("again.png", 2), ("again.png", 1), ("fine.jpg", 2)):
        settings = Settings(overlap=32, scale=scale)
        restore_pictures(artifact, [tmp_path / name], tmp_path / "out.png", settings, Progress("lines"))
        lines = [line for line in capsys.readouterr().err.splitlines() if "JPEG" in line]
        if name == "fine.jpg":
            assert lines == []
            continue
        assert len(lines) == 1 and lines[0].startswith(f"{tmp_path / name}: blocks of JPEG compression are visible (")
        assert "take a less compressed copy" in lines[0] and ("halve its size first" in lines[0]) == (scale > 1)


def test_a_blind_model_learnt_from_jpeg_and_gets_no_warning(
    artifact: str, tmp_path: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo).save(tmp_path / "coarse.jpg", quality=15)
    settings = Settings(overlap=32, task="blind_face")
    restore_pictures(artifact, [tmp_path / "coarse.jpg"], tmp_path / "out.png", settings, Progress("lines"))
    assert "JPEG" not in capsys.readouterr().err


def test_what_is_skipped_in_a_folder_is_named(artifact: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("notes.txt", "film.mp4"):
        (folder / name).touch()
    restore_pictures(artifact, [folder], folder / "out", Settings(overlap=32, scale=1), Progress("lines"))
    text = capsys.readouterr()
    assert f"{folder}: left out, not opened as pictures: 1 .mp4 (film.mp4), 1 .txt (notes.txt)" in text.err
    assert text.out == ""


# --- where it may be written -----------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["in", "in/", "in/../in", "linked"])
def test_the_folder_of_the_inputs_is_no_output(folder: Path, tmp_path: Path, out: str) -> None:
    """Also where no name would meet: b.png beside b.jpg would be enlarged again by the next run."""
    for path in (folder / "a.png", folder / "below/c.webp"):
        path.unlink()
    (tmp_path / "linked").symlink_to(folder)
    with pytest.raises(InputError, match=r"is the folder of the pictures to restore, .* say -o .*restored$"):
        destinations([folder], tmp_path / out)
    Image.new("RGB", (8, 8)).save(folder / "d.jpg")
    with pytest.raises(InputError, match="is the folder of the pictures to restore"):
        destinations([folder / "b.jpg", folder / "d.jpg"], tmp_path / out)
    # One picture beside itself is not a batch: the same command gives the same file again.
    assert destinations([folder / "b.jpg"], tmp_path / out) == [(folder / "b.jpg", tmp_path / out / "b.png")]


def test_twice_gives_the_same_files(artifact: str, folder: Path, tmp_path: Path) -> None:
    """Beside and below the inputs."""
    for out in (tmp_path / "out", folder / "restored"):
        written = [run(artifact, [folder], out, scale=2) for _ in range(2)]
        assert written[0] == written[1]
        with Image.open(out / "a.png") as image:
            assert image.size == (100, 80)
        if out.is_relative_to(folder):
            said: list[str] = []
            destinations([folder], out, say=said.append)
            assert said == [f"{out}: 3 pictures in the output folder are left out"]


@pytest.mark.parametrize("out", ["result.png", "result.JPG", "result.avif", "result.heic"])
def test_a_picture_s_name_for_a_folder_is_refused(folder: Path, tmp_path: Path, out: str) -> None:
    if out == "result.heic":
        out = "result.jp2"  # opened, not written
    for given in ([folder], [folder / "a.png", folder / "b.jpg"]):
        with pytest.raises(InputError, match=r"names a picture, a folder is needed for .*: say -o .*result$"):
            destinations(given, tmp_path / out)
    (tmp_path / out).mkdir()
    assert len(destinations([folder], tmp_path / out)) == 3
    assert len(destinations([folder], tmp_path / "v1.5")) == 3


# --- a batch never loses the others ----------------------------------------------------------------------------


def damaged_exif(path: Path, photo: np.ndarray) -> None:
    """GPS as text, which Pillow fails to turn."""
    exif = Image.Exif()
    exif[0x0112], exif[0x8825] = 6, {2: (1.0, 2.0, 3.0)}
    Image.fromarray(photo[:40, :50]).save(path, exif=exif.tobytes())
    data = path.read_bytes()
    assert data.count(b"\0\2\0\5\0\0\0\3") == 1
    path.write_bytes(data.replace(b"\0\2\0\5\0\0\0\3", b"\0\2\0\2\0\0\0\3"))


def test_damaged_metadata_cost_nothing(
    artifact: str, folder: Path, tmp_path: Path, photo: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged_exif(folder / "gps.jpg", photo)
    out = tmp_path / "out"
    assert len(restore_pictures(artifact, [folder], out, Settings(overlap=32, scale=1), Progress("lines"))) == 4
    assert "gps.jpg: damaged and left out: 1 of 1 tags of EXIF's GPS" in capsys.readouterr().err
    with Image.open(out / "gps.png") as image:
        assert image.size == (40, 50)


def test_what_is_no_picture_s_fault_ends_after_the_others(
    artifact: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compress.restore import pictures as restoring

    whole = restoring.save_layers

    def fail(rgb: np.ndarray, beside: object, path: Path) -> list[str]:
        if path.name == "a.png":
            raise ZeroDivisionError
        return whole(rgb, beside, path)  # type: ignore[arg-type]

    monkeypatch.setattr(restoring, "save_layers", fail)
    with pytest.raises(ZeroDivisionError):
        run(artifact, [folder], tmp_path / "out", scale=1)
    assert {p.name for p in (tmp_path / "out").rglob("*.png")} == {"b.png", "c.png"}


def test_postscript_among_pictures(artifact: str, folder: Path, tmp_path: Path) -> None:
    (folder / "z.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n")
    with pytest.raises(InputError, match=r"1 of 4 pictures failed, the others are restored: .*z\.png: not a readable"):
        run(artifact, [folder], tmp_path / "out", scale=1)
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


# --- limits of formats, before work ----------------------------------------------------------------------------


def test_limits_are_known_before_work(
    artifact: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compress.elir import restore

    def work(*args: object) -> None:
        raise AssertionError("restored all the same")

    monkeypatch.setattr(restore, "enlarge", work)
    Image.new("RGB", (4100, 2)).save(tmp_path / "wide.png")
    Image.new("RGB", (2, 16400)).save(tmp_path / "high.png")
    for name, out, scale, sides in (("wide", "x.webp", 4, "16400 x 8"), ("high", "x.jpg", 4, "8 x 65600")):
        with pytest.raises(InputError, match=rf"{out}: {sides} px, .* ends at \d+ px a side: write \.png or \.tif"):
            run(artifact, [tmp_path / f"{name}.png"], tmp_path / out, scale=scale)
    assert not list(tmp_path.glob("x.*"))


# --- frames ----------------------------------------------------------------------------------------------------


@pytest.fixture()
def moving(tmp_path: Path) -> Path:
    """An animation and a scan of three pages with sides of their own."""
    folder = tmp_path / "moving"
    folder.mkdir()
    frames = [Image.new("RGB", (24, 16), (grey, grey, 0)) for grey in (60, 120, 180)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=80, loop=0)
    pages = [frame.resize((24 + i, 16)) for i, frame in enumerate(frames)]
    pages[0].save(folder / "s.tif", save_all=True, append_images=pages[1:])
    return folder


def test_the_first_of_several_frames_is_said(
    artifact: str, moving: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restore_pictures(artifact, [moving], tmp_path / "out", Settings(overlap=32, scale=1), Progress("lines"))
    text = capsys.readouterr().err
    for name in ("a.gif", "s.tif"):
        assert f"{name}: frame 1 of 3 was taken; all of them are restored on request (--frames)" in text
    for name in ("a.png", "s.png"):
        with Image.open(tmp_path / "out" / name) as image:
            assert getattr(image, "n_frames", 1) == 1


def test_all_frames(artifact: str, moving: Path, tmp_path: Path) -> None:
    """The artifact halves the picture's brightness."""
    written = run(artifact, [moving], tmp_path / "out", scale=2, frames=True)
    assert [path.name for path in written] == ["a.png", "s.tif"]
    for path, width in zip(written, (0, 2), strict=True):
        with Image.open(path) as image:
            assert image.n_frames == 3
            for i, grey in enumerate((30, 60, 90)):
                image.seek(i)
                assert image.size == (48 + width * i, 32)
                assert abs(image.convert("RGB").getpixel((9, 9))[0] - grey) <= 1
    run(artifact, [moving / "a.gif"], tmp_path / "b.webp", scale=2, frames=True)
    with Image.open(tmp_path / "b.webp") as image:
        image.load()
        assert (image.n_frames, image.info["duration"]) == (3, 80)


def test_frames_that_a_format_cannot_hold_are_refused(artifact: str, moving: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.jpg: 3 frames, JPEG holds one: use \.png"):
        run(artifact, [moving / "a.gif"], tmp_path / "x.jpg", scale=1, frames=True)
    with pytest.raises(InputError, match=r"x\.webp: frames of 3 sizes, an animation has one: write \.tif"):
        run(artifact, [moving / "s.tif"], tmp_path / "x.webp", scale=1, frames=True)


def test_a_single_picture_with_frames_is_as_without(artifact: str, folder: Path, tmp_path: Path) -> None:
    run(artifact, [folder / "a.png"], tmp_path / "x.png", scale=1, frames=True)
    run(artifact, [folder / "a.png"], tmp_path / "y.png", scale=1)
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / "y.png").read_bytes()


def test_an_output_folder_above_the_input_takes_nothing_away(folder: Path) -> None:
    assert destinations([folder / "below"], folder) == [(folder / "below/c.webp", folder / "c.png")]
