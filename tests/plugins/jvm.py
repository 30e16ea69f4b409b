"""Kotlin's compiler, of npm, and ONNX Runtime for Java: the library of its wheel, and Debian's sources."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KOTLIN = "kotlin-compiler-2.4.20.tgz"
KOTLIN_SHA512 = "IF5IVM7LpPhA/ntHQQpaVt1yxpaaQovtEVYLyqWMuaLr0XelLPPm7/sM6HLhtcRjjjoSsK7I7lP2kzYJkMy73w=="
"""As the registry tells it."""


@pytest.fixture(scope="session")
def kotlin(shared: Callable[..., Any]) -> Path:
    """The folder of Kotlin's compiler, with bin/kotlinc, fetched by npm."""
    from needs import require

    require("java")
    require("npm")
    return Path(shared("kotlin", _fetch_kotlin)[0]) / "package"


def _fetch_kotlin(folder: Path) -> None:
    from compress.errors import Unavailable
    from compress.targets.tools.packages import run

    name, version = KOTLIN.removesuffix(".tgz").rsplit("-", 1)
    try:
        run(["npm", "pack", f"{name}@{version}", "--silent"], f"npm pack {name}", cwd=folder)
    except Unavailable as error:
        pytest.skip(f"Kotlin's compiler cannot be downloaded here: {error}")
    with (folder / KOTLIN).open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    assert digest == KOTLIN_SHA512, f"{KOTLIN}: not the archive that this test knows"
    with tarfile.open(folder / KOTLIN) as archive:
        archive.extractall(folder, filter="data")


@pytest.fixture(scope="session")
def onnxruntime_java(shared: Callable[..., Any]) -> Path:
    """A folder with classes/, the package ai.onnxruntime, and native/, its libraries."""
    from needs import require

    require("java")
    require("g++")
    return Path(shared("onnxruntime-java", _build_java)[0])


def _build_java(folder: Path) -> None:
    """Compile what ONNX Runtime's own build makes a jar and libonnxruntime4j_jni.so of."""
    import onnxruntime
    from onnxruntime_headers import sources

    root = sources(folder)
    java, session = root / "java/src/main", root / "include/onnxruntime/core/session"
    generated, native = folder / "generated", folder / "native"
    classes = [str(path) for part in ("java", "jvm") for path in sorted((java / part).rglob("*.java"))]
    _done("javac", "-nowarn", "-d", folder / "classes", "-h", generated, *classes)
    library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.1.*"))
    # CMake would write it.
    (generated / "onnxruntime_config.h").write_text(f'#define ORT_VERSION "{onnxruntime.__version__}"\n')
    native.mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (native / name).symlink_to(library)
    home = Path(str(shutil.which("javac"))).resolve().parents[1]
    included = [root, root / "include", session, generated, home / "include", home / "include/linux"]
    glue = [path for path in sorted((java / "native").glob("*.c")) if "OrtTrainingSession" not in path.name]
    flags = ["-shared", "-fPIC", "-O1", "-w", *(f"-I{path}" for path in included)]
    _done("gcc", *flags, *glue, library, f"-Wl,-rpath,{native}", "-o", native / "libonnxruntime4j_jni.so")


def _done(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
