"""The programs of a package restore a whole picture of odd sides as `compress restore` does with the same artifact."""

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime_headers import runtime_folder
from phone import save_turned
from PIL import Image, ImageCms

from compress.elir.noise import noise_field
from compress.package.write import package
from compress.progress import Progress
from compress.restore.open import Settings, open_restorer
from compress.targets.browser import onnxruntime_web

TARGETS = {"openvino": "x86-openvino", "onnx": "x86-onnxruntime", "executorch": "x86-executorch"}
SIZE = (37, 41)
"""Rows and columns of a picture: at x4, 20 tiles of 64 px that overlap by 32."""
SEED = 3


@pytest.fixture(scope="module")
def float_bundle(tiny_recipe: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three formats, floats in and out, the noise a constant of the graph."""
    import compress

    formats: dict[str, Any] = {format: {"precisions": ["fp32"]} for format in TARGETS}
    recipe = tiny_recipe(export=formats | {"noise": "baked"}, passes=[{"collapse": {}}])
    folder = tmp_path_factory.mktemp("floats") / "tiny"
    compress.apply(recipe, folder, progress=Progress("silent"))
    return folder


def check_as_restore(folder: Path, picture: np.ndarray, ours: Path, most: float = 0.001) -> None:
    """Whether the file ``ours`` holds what `compress restore` makes of ``picture``; ``most``: share of the values that
    may differ by the step of rounding that all may differ by.
    """
    with Image.open(ours) as image:
        made = np.asarray(image, np.int16)
    restorer = open_restorer(str(folder), Settings(seed=SEED))
    wanted = restorer.restore(picture, lambda: None).astype(np.int16)
    assert made.shape == wanted.shape == (4 * SIZE[0], 4 * SIZE[1], 3)
    difference = np.abs(made - wanted)
    # Without rounding, or with other weights of tiles, the step is in 1 to 20 % of the values.
    assert difference.max() <= 1 and (difference > 0).mean() < most


def model_of(folder: Path) -> Path:
    """The artifact of a package."""
    return folder / json.loads((folder / "compress.json").read_text())["model"]


# --- run.py -------------------------------------------------------------------------------------------------------


def run(folder: Path, *args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """run.py in a process of its own, away from this package."""
    command = [sys.executable, str(folder / "run.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={"PATH": ""})


def check_run_py(folder: Path, photo: np.ndarray, tmp_path: Path) -> None:
    picture = photo[: SIZE[0], : SIZE[1]]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    done = run(folder, "photo.png", "restored.png", "--seed", SEED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_as_restore(folder, picture, tmp_path / "restored.png")


@pytest.mark.parametrize("format", TARGETS)
@pytest.mark.parametrize("form", ["picture_bundle", "float_bundle", "seed_bundle", "padded_bundle"])
def test_run_py(format: str, form: str, request: pytest.FixtureRequest, photo: np.ndarray, tmp_path: Path) -> None:
    bundle = request.getfixturevalue(form)
    check_run_py(package(bundle, TARGETS[format], tmp_path / "product"), photo, tmp_path)


@pytest.mark.parametrize(
    ("form", "seed", "rule"),
    [
        ("seed_bundle", 2**24, "in [0, 16777215]"),
        ("seed_bundle", -1, "in [0, 16777215]"),
        ("float_bundle", -1, "0 or more"),
    ],
)
def test_run_py_of_a_seed_out_of_range_says_so_in_a_line(
    form: str, seed: int, rule: str, request: pytest.FixtureRequest, photo: np.ndarray, tmp_path: Path
) -> None:
    folder = package(request.getfixturevalue(form), "x86-onnxruntime", tmp_path / "product")
    Image.fromarray(photo[:8, :8]).save(tmp_path / "photo.png")
    done = run(folder, "photo.png", "restored.png", "--seed", seed, cwd=tmp_path)
    message = f"restored.png: cannot be made (the seed is {seed}, it must be {rule})\n"
    assert (done.returncode, done.stderr) == (2, message)
    told = "With a seed as fourth argument" in (folder / "README.md").read_text()
    assert told == (form == "seed_bundle")


@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_run_py_with_a_graph_of_floats_and_noise(format: str, finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    check_run_py(package(finished.folder, TARGETS[format], tmp_path / "product", f"{format}-int8"), photo, tmp_path)


def test_run_py_turns_a_phones_picture_and_keeps_its_profile(finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-onnxruntime", tmp_path / "product")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save_turned(photo[: SIZE[0], : SIZE[1]], tmp_path / "photo.png", profile)
    for out in ("restored.png", "restored.jpg", "restored.bmp"):  # the last has no place for a profile
        done = run(folder, "photo.png", out, "--seed", SEED, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / out) as image:
            assert image.info.get("icc_profile") == (None if out == "restored.bmp" else profile)
    check_as_restore(folder, photo[: SIZE[0], : SIZE[1]], tmp_path / "restored.png")
    Image.fromarray(photo[:8, :8]).convert("CMYK").save(tmp_path / "print.jpg", icc_profile=profile)
    assert run(folder, "print.jpg", "restored.png", cwd=tmp_path).returncode == 0
    with Image.open(tmp_path / "restored.png") as image:
        assert "icc_profile" not in image.info


def test_the_python_of_the_page(finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    """The lines of docs/package.md, on a picture that lies on its side."""
    folder = package(finished.folder, "x86-onnxruntime", tmp_path / "product")
    page = (Path(__file__).parents[2] / "docs/package.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    save_turned(photo[:20, :30], folder / "photo.jpg")
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "restored.png") as image:
        assert image.size == (120, 80)


def test_run_py_tells_of_the_tiles_of_a_large_picture(finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-onnxruntime", tmp_path / "product")
    Image.fromarray(photo[:200, :200]).save(tmp_path / "photo.png")
    done = run(folder, "photo.png", "restored.png", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    lines = [re.fullmatch(r"(\d+) of (\d+) tiles, about \d+ s left", line) for line in done.stderr.splitlines()]
    assert lines and all(lines), done.stderr
    counts = [(int(line[1]), int(line[2])) for line in lines if line]
    assert counts == sorted(counts) and len({total for _, total in counts}) == 1 and counts[-1][0] < counts[-1][1]
    Image.fromarray(photo[:20, :20]).save(tmp_path / "photo.png")
    assert run(folder, "photo.png", "restored.png", cwd=tmp_path).stderr == ""


def test_the_python_of_the_readme(finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-openvino", tmp_path / "product")
    (block,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    save_turned(photo[:20, :30], folder / "photo.jpg")
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "restored.png") as image:
        assert image.size == (120, 80)


def test_run_py_of_no_picture_says_so_in_a_line(finished: Any, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-openvino", tmp_path / "product")
    done = run(folder, "missing.png", "restored.png", cwd=tmp_path)
    missing = "missing.png: cannot be read ([Errno 2] No such file or directory: 'missing.png')\n"
    assert (done.returncode, done.stderr) == (2, missing)


def test_run_py_says_in_a_line_what_it_will_not_restore(finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-onnxruntime", tmp_path / "product")
    Image.fromarray(photo[:8, :8]).save(tmp_path / "photo.png")
    (tmp_path / "linked.png").symlink_to("photo.png")
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.full((8, 8), 40_000, np.int32)).save(tmp_path / "deep.tif")
    before = (tmp_path / "photo.png").read_bytes()
    replaced = "cannot be made (it would replace the picture to restore: give another name)\n"
    for given, out, message in (
        (
            "deep.png",
            "restored.png",
            "deep.png: cannot be read (its values have more than 8 bits (mode I;16): save it with 8)\n",
        ),
        (
            "deep.tif",
            "restored.png",
            "deep.tif: cannot be read (its values have more than 8 bits (mode I): save it with 8)\n",
        ),
        ("photo.png", "photo.png", f"photo.png: {replaced}"),
        ("linked.png", "photo.png", f"photo.png: {replaced}"),
        ("photo.png", "nowhere/a.png", "nowhere/a.png: cannot be made (there is no such folder)\n"),
    ):
        done = run(folder, given, out, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, message)
    assert (tmp_path / "photo.png").read_bytes() == before and not (tmp_path / "restored.png").exists()
    (folder / "model.py").write_text("import no_such_runtime\n")
    done = run(folder, "photo.png", "restored.png", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "no_such_runtime is not installed: README.md says what to install\n")


def test_run_py_starts_no_program(finished: Any, tmp_path: Path) -> None:
    """Pillow would hand a PostScript file, whatever its name, to Ghostscript."""
    folder = package(finished.folder, "x86-openvino", tmp_path / "product")
    (tmp_path / "photo.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    done = run(folder, "photo.png", "restored.png", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("photo.png: cannot be read (cannot identify image file")


def places(folder: Path) -> Path:
    """``folder``/pipe.ppm, a pipe; beside it linked.ppm, a link to the file victim."""
    folder.mkdir()
    os.mkfifo(folder / "pipe.ppm")
    (folder / "victim").write_text("x")
    (folder / "linked.ppm").symlink_to("victim")
    return folder / "pipe.ppm"


PLACES = """
import numpy as np
import run
picture = np.zeros((4, 5, 3), np.uint8)
run.save(picture, "linked.ppm")
print(run.opened("linked.ppm")[0].shape)
for call in (lambda: run.opened("pipe.ppm"), lambda: run.save(picture, "pipe.ppm")):
    try:
        call()
    except ValueError as error:
        print(error)
"""


def test_run_py_waits_for_no_pipe_and_follows_no_link(finished: Any, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-openvino", tmp_path / "product")
    given = places(tmp_path / "given").parent
    path = {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", PLACES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=given, env=path, timeout=60)
    assert (done.stdout, done.stderr) == ("(4, 5, 3)\nis not a file\nis not a file\n", "")
    assert (given / "victim").read_text() == "x" and not (given / "linked.ppm").is_symlink()
    assert sorted(p.name for p in given.iterdir()) == ["linked.ppm", "pipe.ppm", "victim"]


ARRAYS = """
import numpy as np
from run import Restorer
restorer, good = Restorer(), np.zeros((4, 5, 3), np.uint8)
for odd in (good[0], good[None], good[..., :2], good[:0], good[:, :0], good / 255, good.astype(int), good > 0):
    try:
        restorer.restore(odd)
    except ValueError as error:
        print(error)
print(restorer.restore(good[::-1, ::-1]).shape)
"""


def test_run_py_takes_pictures_of_bytes_only(finished: Any, tmp_path: Path) -> None:
    folder = package(finished.folder, "x86-openvino", tmp_path / "product")
    done = subprocess.run([sys.executable, "-c", ARRAYS], capture_output=True, text=True, cwd=folder)
    lines = done.stdout.splitlines()
    assert (len(lines), lines[-1], done.stderr) == (9, "(16, 20, 3)", "")
    assert all(line.endswith("it must be uint8 (height, width, 3)") for line in lines[:-1])


def test_run_py_makes_no_picture_of_what_is_no_number(finished: Any, photo: np.ndarray, tmp_path: Path) -> None:
    """A damaged artifact's NaN would be black; the picture that was there stays."""
    import onnx
    from onnx import numpy_helper

    folder = package(finished.folder, "x86-onnxruntime", tmp_path / "product", "onnx-fp32")
    path = model_of(folder)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 4:
            values = np.full_like(numpy_helper.to_array(tensor), np.nan)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    path.write_bytes(model.SerializeToString())
    Image.fromarray(photo[:8, :8]).save(tmp_path / "photo.png")
    for name in ("restored.png", "\x1b[2J\n.png"):
        (tmp_path / name).write_bytes(b"good")
        done = run(folder, "photo.png", name, cwd=tmp_path)
        message = "cannot be made (the artifact gives NaN or infinity: get an undamaged package)\n"
        assert done.returncode == 2 and done.stderr.endswith(message) and done.stderr[:-1].isprintable()
        assert (tmp_path / name).read_bytes() == b"good"
    path.write_bytes(b"damaged")
    done = run(folder, "photo.png", "restored.png", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "cannot be made (" in done.stderr


# --- C++ ----------------------------------------------------------------------------------------------------------

BIN = Path(sys.executable).parent
"""CMake and Ninja are packages of Python, too."""


def installed(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def runtime_of(format: str, request: pytest.FixtureRequest, root: Path) -> str:
    """What tells CMake where the runtime is; ``root`` becomes ONNX Runtime's folder."""
    if format == "openvino":
        return f"-DOpenVINO_DIR={installed('openvino') / 'cmake'}"
    if format == "executorch":
        return f"-Dexecutorch_DIR={installed('executorch') / 'share/cmake'}"
    headers = request.getfixturevalue("onnxruntime_headers")
    return f"-DONNXRUNTIME={runtime_folder(headers, installed('onnxruntime'), root)}"


def built(folder: Path, runtime: str) -> Path:
    """The program that CMake makes of ``folder``, given where the ``runtime`` is."""
    build = folder.parent / "build"
    tools = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={BIN / 'ninja'}"]
    for command in (["-S", folder / "cpp", "-B", build, *tools, runtime], ["--build", build]):
        done = subprocess.run([BIN / "cmake", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return build / "restore"


def graph_of_shapes(path: Path, height: int, given: int) -> None:
    """An IR that takes pictures of ``given`` px and gives some of ``height`` x 64 px."""
    import openvino as ov
    from openvino import opset13 as ops

    lq = ops.parameter([1, 3, given, 64], np.float32, name="lq")
    rows = ops.slice(ops.tile(lq, [1, 1, -(-height // given), 1]), [0], [height], [1], [2])
    ov.save_model(ov.Model([rows], [lq], "other"), path, compress_to_fp16=False)


@pytest.mark.needs("g++")
@pytest.mark.parametrize("format", ["openvino", pytest.param("onnx", marks=pytest.mark.downloads), "executorch"])
def test_cpp(
    format: str,
    request: pytest.FixtureRequest,
    picture_bundle: Path,
    float_bundle: Path,
    seed_bundle: Path,
    padded_bundle: Path,
    finished: Any,
    photo: np.ndarray,
    tmp_path: Path,
) -> None:
    """One program runs graphs of every form."""
    with_noise = float_bundle if format == "executorch" else finished.folder
    picture = photo[: SIZE[0], : SIZE[1]]
    Image.fromarray(picture).save(tmp_path / "photo.ppm")
    noise_field(4 * SIZE[0], 4 * SIZE[1], SEED).tofile(tmp_path / "noise.bin")
    runtime = runtime_of(format, request, tmp_path / "runtime")
    program = built(package(picture_bundle, TARGETS[format], tmp_path / "pictures"), runtime)
    others = {"padded": padded_bundle, "floats": with_noise}
    packages = [package(bundle, TARGETS[format], tmp_path / name) for name, bundle in others.items()]
    for folder in (tmp_path / "pictures", *packages):
        artifact = model_of(folder)
        files = [tmp_path / name for name in ("photo.ppm", "restored.ppm", "noise.bin")]
        done = subprocess.run([program, artifact, *files], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        check_as_restore(folder, picture, tmp_path / "restored.ppm")
    folder = package(seed_bundle, TARGETS[format], tmp_path / "seeds")
    for seed, message in ((SEED, ""), (2**24, "the seed must be in [0, 16777215]"), ("x7", "x7: not a seed, which is")):
        command = [program, model_of(folder), *files[:2], str(seed)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert message in done.stderr and done.returncode == (1 if message else 0), done.stderr
    check_as_restore(folder, picture, tmp_path / "restored.ppm")
    noise = noise_field(4 * SIZE[0], 4 * SIZE[1], SEED).ravel()
    odd = np.where(np.arange(noise.size) == 7, np.inf, noise).astype(np.float32)
    for wrong, text in ((noise[1:], "must hold"), (np.append(noise, noise[:1]), "must hold"), (odd, "NaN or infinity")):
        wrong.tofile(tmp_path / "noise.bin")
        done = subprocess.run([program, model_of(tmp_path / "pictures"), *files], capture_output=True, text=True)
        assert (done.returncode, text in done.stderr) == (1, True), done.stderr
    noise.tofile(tmp_path / "noise.bin")
    pipes = [places(tmp_path / f"odd{i}") for i in range(4)]
    waits = [(pipes[0], *files[1:]), (files[0], pipes[1], files[2]), (*files[:2], pipes[2])]
    for given in waits if format != "executorch" else waits[:2]:  # whose noise is a constant of the graph
        done = subprocess.run([program, artifact, *given], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and re.search(r"pipe\.ppm: (no such|is not a) file\n\Z", done.stderr), done.stderr
    linked = pipes[3].with_name("linked.ppm")
    done = subprocess.run([program, artifact, files[0], linked, files[2]], capture_output=True, text=True)
    assert (done.returncode, linked.is_symlink()) == (0, False) and linked.with_name("victim").read_text() == "x"
    if format == "openvino":
        for sides in ((64, 128), (128, 64), (4096, 64)):
            graph_of_shapes(tmp_path / "other.xml", *sides)
            done = subprocess.run([program, tmp_path / "other.xml", *files[:2]], capture_output=True, text=True)
            assert (done.returncode, "shapes are not those of its package" in done.stderr) == (1, True), done.stderr
    odd_name = tmp_path / "a\x1b[2J\nFORGED \x9b\u202e\u2066\u00fc.ppm"
    done = subprocess.run([program, artifact, odd_name, *files[1:]], capture_output=True, text=True)
    # Behind lines of ExecuTorch's own.
    assert done.returncode == 1 and done.stderr.endswith(f"{tmp_path}/a?[2J?FORGED ???\u00fc.ppm: no such file\n")
    assert "\x1b" not in done.stderr
    before = files[0].read_bytes()
    done = subprocess.run([program, artifact, files[0], files[0], files[2]], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.endswith(
        "photo.ppm: would replace the picture to restore: give another name\n"
    )
    assert files[0].read_bytes() == before
    (tmp_path / "photo.ppm").write_bytes(b"P6 41 37 255\n...")
    done = subprocess.run([program, artifact, *files], capture_output=True, text=True)
    assert (done.returncode, "photo.ppm: shorter than its header says" in done.stderr) == (1, True)
    (tmp_path / "photo.ppm").write_bytes(b"P6 2000000 2000000 255\n...")  # more than any machine has
    done = subprocess.run([program, artifact, *files], capture_output=True, text=True)
    assert (done.returncode, "photo.ppm: shorter than its header says" in done.stderr) == (1, True)


# --- Kotlin -------------------------------------------------------------------------------------------------------

STAND_IN = Path(__file__).parent / "android"
"""A program in the place of MainActivity.kt, and what OpenModel.kt uses of Android."""
MAIN = "com.example.restore.MainKt"


@pytest.mark.downloads
@pytest.mark.needs("java", "npm", "g++")
def test_kotlin(
    kotlin: Path,
    onnxruntime_java: Path,
    picture_bundle: Path,
    float_bundle: Path,
    seed_bundle: Path,
    padded_bundle: Path,
    finished: Any,
    photo: np.ndarray,
    tmp_path: Path,
) -> None:
    """Restorer.kt and ONNX Runtime's OpenModel.kt, in a JVM, over ONNX Runtime's own Java API."""
    bundles = {
        "pictures": picture_bundle,
        "noise": finished.folder,
        "baked": float_bundle,
        "seeds": seed_bundle,
        "padded": padded_bundle,
    }
    folders = {form: package(bundle, "x86-onnxruntime", tmp_path / form) for form, bundle in bundles.items()}
    written = folders["noise"] / "android/src/main/kotlin"
    sources = [written / name for name in ("Restorer.kt", "OpenModel.kt")]
    classes = [onnxruntime_java / "classes", kotlin / "lib/kotlin-stdlib.jar"]
    compiler = [kotlin / "bin/kotlinc", "-Werror", "-jvm-target", "17", "-cp", classes[0], "-d", tmp_path / "app"]
    done = subprocess.run([*compiler, *sources, *STAND_IN.glob("*.kt")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

    picture = photo[: SIZE[0], : SIZE[1]]
    (tmp_path / "picture.bin").write_bytes(picture.tobytes())
    noise = noise_field(4 * SIZE[0], 4 * SIZE[1], SEED)
    noise.tofile(tmp_path / "noise.bin")
    (tmp_path / "short.bin").write_bytes(noise.tobytes()[4:])
    path = ":".join(map(str, [tmp_path / "app", *classes]))
    java = ["java", "-cp", path, f"-Donnxruntime.native.path={onnxruntime_java / 'native'}", MAIN]

    def restored(form: str, seed: int = SEED, noise: str = "noise.bin") -> str:
        facts = json.loads((folders[form] / "compress.json").read_text())
        told = [facts["model"], facts["scale"], *facts["tile"], facts["overlap"], facts["io"], facts["noise"]]
        files = [tmp_path / "picture.bin", *SIZE, tmp_path / noise, tmp_path / "restored.ppm"]
        command = [*java, *map(str, [folders[form], *told, *files, seed])]
        return subprocess.run(command, capture_output=True, text=True).stderr

    for form, folder in folders.items():
        said = restored(form)
        assert (tmp_path / "restored.ppm").exists(), said
        check_as_restore(folder, picture, tmp_path / "restored.ppm")
        (tmp_path / "restored.ppm").unlink()
    wrong = "IllegalArgumentException: the"
    assert f"{wrong} seed must be in [0, 16777215]" in restored("seeds", 2**24)
    assert f"{wrong} noise must be {noise.size} floats" in restored("noise", noise="short.bin")


# --- browser ------------------------------------------------------------------------------------------------------

PIXELS = """
const canvas = document.getElementById("restored");
const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return [canvas.height, canvas.width, btoa(String.fromCharCode(...all))];
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("form", ["picture_bundle", "finished", "seed_bundle", "padded_bundle"])
def test_web(
    form: str,
    request: pytest.FixtureRequest,
    photo: np.ndarray,
    tmp_path: Path,
    chromium: Callable[..., Any],
    web_runtime: None,
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    bundle = request.getfixturevalue(form)
    folder = package(bundle.folder if form == "finished" else bundle, "web-wasm", tmp_path / "product")
    modules = folder / "web/node_modules/onnxruntime-web"  # as `npm install` lays it
    modules.mkdir(parents=True)
    (modules / "dist").symlink_to(onnxruntime_web.folder())
    wanted = json.loads((folder / "web/package.json").read_text())["dependencies"]
    assert wanted == {onnxruntime_web.PACKAGE: onnxruntime_web.VERSION}
    picture = photo[: SIZE[0], : SIZE[1]]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    noise_field(4 * SIZE[0], 4 * SIZE[1], SEED).tofile(folder / "web/noise.bin")
    with served(folder) as url, chromium() as driver:
        driver.get(f"{url}/web/?{f'seed={SEED}' if form == 'seed_bundle' else 'noise=noise.bin'}")
        wait = WebDriverWait(driver, 120)
        wait.until(lambda _: driver.find_element("id", "file").is_enabled())
        driver.find_element("id", "file").send_keys(str(tmp_path / "photo.png"))
        said = f"Restored: {4 * SIZE[1]} x {4 * SIZE[0]} px"
        wait.until(lambda _: driver.find_element("id", "status").text == said)
        height, width, text = driver.execute_script(PIXELS)
    pixels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
    Image.fromarray(pixels[..., :3]).save(tmp_path / "restored.png")
    check_as_restore(folder, picture, tmp_path / "restored.png", 0.05)  # by kernels of WebAssembly's own
