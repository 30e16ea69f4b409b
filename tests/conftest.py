"""Shared fixtures: a small ELIR with seeded random weights, a real photograph, a bundle made from both, a browser."""

import os

# Read when torch loads. One thread with workers and without, so that a test computes the same either way; it holds for
# the processes that tests start, too. Threads that spin while they wait made tests twenty times slower beside others.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.reliability import older_cpu
from tests.reliability.postgresql import server

# pytest's first process loads this file before it starts the workers, and needs neither torch nor this package.
if TYPE_CHECKING:
    import numpy as np

    from compress.elir.model import Elir
    from compress.pipeline.result import ApplyResult
    from compress.recipe.schema import Recipe

pytest_plugins = ["needs", "budgets", "workers", "onnxruntime_headers", "jvm"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from budgets import Budgets, below_tests  # a plugin, whose asserts pytest rewrites: not before it is loaded

    dear = Budgets().seconds
    for item in items:
        # The first to ask for the finished bundle makes it, which takes most of a minute. Given `-m "not slow"`, pytest
        # forgets that nightly tests are left out.
        bundle, nightly = "finished" in getattr(item, "fixturenames", ()), item.get_closest_marker("nightly")
        if bundle or nightly or below_tests(item.nodeid) in dear:
            item.add_marker("slow")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's ledger, those in processes of their own included."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'session.sqlite'}")
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees what the user has set up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a real server that runs as long as the tests."""
    from needs import require

    require("postgresql")
    with server() as url:
        yield url


@pytest.fixture(scope="session")
def onnxruntime_run() -> Iterator[Callable[..., "list[np.ndarray]"]]:
    """(ModelProto, inputs by name, exact) -> outputs, in ONNX Runtime; as an older CPU in the second reading.

    ``exact``: as the graph is written, its quantizers around float kernels, which no CPU computes otherwise.
    """
    import onnxruntime

    older = older_cpu.OnnxRuntime() if older_cpu.held() else None

    def run(proto: Any, feeds: "dict[str, np.ndarray]", exact: bool = False) -> "list[np.ndarray]":
        model = proto.SerializeToString()
        if older is not None and not exact:
            return older.run(model, feeds)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        if exact:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feeds)

    yield run
    if older is not None:
        older.close()


@pytest.fixture()
def tiny_elir() -> "Elir":
    """The smallest ELIR that the architecture admits, over the whole K = 3 path."""
    import torch

    from compress.elir.model import Elir, ElirConfig

    torch.manual_seed(0)
    return Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def photo() -> "np.ndarray":
    """(256, 256, 3) uint8: scikit-image's astronaut, centre crop."""
    import numpy as np
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[128:384, 128:384])


@pytest.fixture(scope="session")
def tiny_inputs(shared: Callable[..., Any]) -> Path:
    """A folder with tiny.safetensors (one Euler step), calibration/ (8 pictures) and validation/ (2 others), 64 px."""
    return Path(shared("inputs", _write_inputs)[0])


def _write_inputs(folder: Path) -> None:
    import torch
    from PIL import Image
    from skimage import data

    from compress.elir.checkpoint import save_checkpoint
    from compress.elir.model import Elir, ElirConfig

    # A block per resolution: what is exported, quantized and lowered takes a third less time than with the published
    # ones.
    tiny = ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, k_steps=1, enc_blocks=(1,) * 4, dec_blocks=(1,) * 4)
    torch.manual_seed(3)
    save_checkpoint(Elir(tiny), folder / "tiny.safetensors", {})
    for name, picture, count in (("calibration", data.astronaut(), 8), ("validation", data.coffee(), 2)):
        (folder / name).mkdir()
        for i in range(count):
            crop = picture[48 * i : 48 * i + 64, 48 * i : 48 * i + 64]
            Image.fromarray(crop).save(folder / name / f"{name}{i}.png")


@pytest.fixture(scope="session")
def tiny_recipe(tiny_inputs: Path) -> Callable[..., "Recipe"]:
    """(changed settings of the recipe) -> Recipe over ``tiny_inputs``: OpenVINO and ONNX, fp32 and int8, no target."""

    from compress.recipe.schema import Recipe

    def make(**changes: Any) -> Recipe:
        both = {"precisions": ["fp32", "int8"]}
        settings: dict[str, Any] = {
            "version": 1,
            "name": "tiny",
            "model": {"weights": str(tiny_inputs / "tiny.safetensors"), "image_size": 64},
            "data": {
                "calibration": str(tiny_inputs / "calibration"),
                "validation": [str(tiny_inputs / "validation")],
            },
            "passes": [{"collapse": {}}, {"fold_time": {}}, {"ptq": {"rounding": "nearest"}}],
            "export": {"openvino": both, "onnx": both},
        }
        return Recipe.model_validate(settings | changes)

    return make


@dataclass(frozen=True)
class Interrupted:
    """A bundle whose first run was interrupted before parity: ``files`` are those of the first run, with mtimes."""

    result: "ApplyResult"
    files: dict[str, int]

    @property
    def folder(self) -> Path:
        return self.result.folder


@pytest.fixture(scope="session")
def finished(
    tiny_recipe: Callable[..., "Recipe"], shared: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Interrupted:
    """The bundle of ``tiny_recipe()``, interrupted once and resumed. Not to be changed: see ``bundle``."""
    folder, (result, files) = shared("bundle", lambda folder: _interrupted(tiny_recipe(), folder / "tiny"))
    # A copy for each worker, which keeps the files' times: commands lock the folder of a bundle.
    own = shutil.copytree(folder / "tiny", tmp_path_factory.mktemp("bundle") / "tiny")
    return Interrupted(replace(result, folder=own), files)


def _interrupted(recipe: "Recipe", out: Path) -> "tuple[ApplyResult, dict[str, int]]":
    import compress
    from compress.pipeline import apply
    from compress.pipeline.result import ApplyResult
    from compress.progress import Progress

    def interrupt(run: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(apply.Run, "_parity", interrupt)
        compress.apply(recipe, out, progress=Progress("silent"))
    assert not (out / "manifest.json").exists()
    files = {p.relative_to(out).as_posix(): p.stat().st_mtime_ns for p in out.rglob("model*")}
    (out / "int8/onnx/.part-killed.onnx").write_bytes(b"half")
    result = compress.apply(recipe, out, progress=Progress("silent"))
    assert isinstance(result, ApplyResult)
    return result, files


@pytest.fixture()
def bundle(finished: Interrupted, tmp_path: Path) -> Path:
    """A copy of the finished bundle, to spoil."""
    return Path(shutil.copytree(finished.folder, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def picture_bundle(
    tiny_recipe: Callable[..., "Recipe"], shared: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bundle of ``tiny_recipe()`` whose artifacts take and give pictures of 8 bits. Not to be changed."""
    folder, _ = shared("pictures", _write_pictures(tiny_recipe))
    return Path(shutil.copytree(folder / "tiny", tmp_path_factory.mktemp("pictures") / "tiny"))


@pytest.fixture(scope="session")
def seed_bundle(
    tiny_recipe: Callable[..., "Recipe"], shared: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """As ``picture_bundle``, in fp32, of artifacts that hold their noise and take a seed. Not to be changed."""
    formats: dict[str, Any] = {key: {"precisions": ["fp32"]} for key in ("openvino", "onnx", "executorch")}
    recipe = tiny_recipe(export=formats | {"io": "uint8", "noise": "seed"}, passes=[{"collapse": {}}])
    folder, _ = shared("seeds", _write(recipe))
    return Path(shutil.copytree(folder / "tiny", tmp_path_factory.mktemp("seeds") / "tiny"))


@pytest.fixture(scope="session")
def padded_recipe(tiny_recipe: Callable[..., "Recipe"], tiny_inputs: Path, shared: Callable[..., Any]) -> "Recipe":
    """As that of ``picture_bundle``, of 68 x 100 px, which the artifacts pad to 96 x 128, and with int8 everywhere.

    Its tiles overlap as those of the other bundles, by 32 px: a program in C++ is compiled for one overlap.
    """
    folder, _ = shared("large-pictures", _write_large)
    both = {"precisions": ["fp32", "int8"]}
    return tiny_recipe(
        model={"weights": str(tiny_inputs / "tiny.safetensors"), "image_size": [68, 100], "padding": "inside"},
        data={"calibration": str(folder / "calibration"), "validation": [str(folder / "validation")]},
        export={"openvino": both, "onnx": both, "executorch": both, "io": "uint8"},
    )


def _write_large(folder: Path) -> None:
    from PIL import Image
    from skimage import data

    for name, picture, count in (("calibration", data.astronaut(), 8), ("validation", data.coffee(), 2)):
        (folder / name).mkdir()
        for i in range(count):
            Image.fromarray(picture[48 * i : 48 * i + 104, 48 * i : 48 * i + 104]).save(
                folder / name / f"{name}{i}.png"
            )


@pytest.fixture(scope="session")
def padded_bundle(
    padded_recipe: "Recipe", shared: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bundle of ``padded_recipe``. Not to be changed."""
    folder, _ = shared("padded", _write(padded_recipe))
    return Path(shutil.copytree(folder / "tiny", tmp_path_factory.mktemp("padded") / "tiny"))


def _write_pictures(tiny_recipe: Callable[..., "Recipe"]) -> Callable[[Path], None]:
    both = {"precisions": ["fp32", "int8"]}
    exports = {"openvino": both, "onnx": both, "executorch": {"precisions": ["fp32"]}}
    return _write(tiny_recipe(export=exports | {"io": "uint8"}))


def _write(recipe: "Recipe") -> Callable[[Path], None]:
    import compress
    from compress.progress import Progress

    def write(folder: Path) -> None:
        compress.apply(recipe, folder / "tiny", progress=Progress("silent"))

    return write


@pytest.fixture(scope="session")
def web_runtime() -> None:
    """onnxruntime-web is in the user's cache, fetched by npm where it was not."""
    from needs import require

    from compress.errors import Unavailable
    from compress.progress import Progress
    from compress.targets.browser import onnxruntime_web as web

    if not all((web.folder() / name).is_file() for name in (web.SCRIPT, web.BINARY)):
        require("npm")
    try:
        web.runtime_files(Progress("silent"))
    except Unavailable as error:
        pytest.skip(str(error))


FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def _chromium(profile: Path, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        view = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


@pytest.fixture()
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """(width, height, dark) -> context of selenium's driver of a headless Chromium, its profile fresh; in px."""
    from needs import require

    require("chromium")
    return lambda *args, **options: _chromium(tmp_path_factory.mktemp("profile"), *args, **options)
