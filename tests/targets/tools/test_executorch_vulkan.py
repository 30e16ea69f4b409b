"""What ExecuTorch's Vulkan runtime is built from is looked at first; what a library says of its device is read."""

import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.errors import InputError, Unavailable
from compress.targets.tools import tool
from compress.targets.tools.executorch_vulkan import FETCH, SCHEMA, SUBMODULES, ExecutorchVulkan, VulkanDevice, _wheel

LAVAPIPE = "4|llvmpipe (LLVM 15.0.6, 256 bits)|llvmpipe Mesa 22.3.6 (LLVM 15.0.6)"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))


@pytest.fixture()
def clone(tmp_path: Path) -> Path:
    """What is looked at of a clone, with the schema of the installed version."""
    for file in (SCHEMA, *(part / file for part, file in SUBMODULES.items())):
        (tmp_path / "clone" / file).parent.mkdir(parents=True)
        (tmp_path / "clone" / file).touch()
    shutil.copy(_wheel() / SCHEMA, tmp_path / "clone" / SCHEMA)
    return tmp_path / "clone"


def refusal(source: Path | None) -> str:
    with pytest.raises(InputError) as told:
        ExecutorchVulkan(source).check()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_it_asks_for_a_clone_of_the_installed_version() -> None:
    version = ExecutorchVulkan().versions()["executorch"]
    advice = f"run `compress targets setup executorch-vulkan --source CLONE`, with a clone of ExecuTorch {version}"
    assert refusal(None) == f"executorch-vulkan is built from ExecuTorch's sources: {advice}"
    with pytest.raises(Unavailable, match=f"^executorch-vulkan is not set up here: {advice}$"):
        ExecutorchVulkan().require()


def test_a_folder_that_is_no_clone(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: no clone of ExecuTorch, it has no {SCHEMA}: give one (--source)"


@pytest.mark.parametrize("part", SUBMODULES)
def test_a_clone_without_a_submodule_is_told_how_to_fetch_it(part: Path, clone: Path) -> None:
    (clone / part / SUBMODULES[part]).unlink()
    assert refusal(clone) == f"{clone}: lacks the submodule {part}: fetch it there, `{FETCH}`"


def test_a_clone_of_another_version(clone: Path) -> None:
    with (clone / SCHEMA).open("a") as file:
        file.write("table New {}\n")
    assert refusal(clone).startswith(f"{clone}: reads other Vulkan programs than executorch ")


def test_a_compiler_that_is_not_installed(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone))
    with pytest.raises(Unavailable, match=r"^executorch-vulkan: g\+\+ is not installed: install g\+\+$"):
        ExecutorchVulkan(clone).check()


def test_no_other_tool_is_built_from_sources(tmp_path: Path) -> None:
    for name in ("ethos-u-vela", "web"):
        done = CliRunner().invoke(app, ["targets", "setup", name, "--source", str(tmp_path)])
        assert done.exit_code == 2
        assert done.stderr == f"source {tmp_path}: only executorch-vulkan is built from sources: leave it out\n"


@pytest.mark.needs("g++")
@pytest.mark.parametrize("said", [LAVAPIPE, "2|A GPU|its driver 1.0", ""])
def test_a_library_names_its_device(said: str, tmp_path: Path) -> None:
    made = tool("executorch-vulkan")
    assert isinstance(made, ExecutorchVulkan)
    made.folder.mkdir(parents=True)
    source = tmp_path / "device.cpp"
    source.write_text(f'extern "C" const char* vulkan_device() {{ return "{said}"; }}\n')
    subprocess.run(["g++", "-shared", "-fPIC", str(source), "-o", str(made.library)], check=True)
    if not said:
        with pytest.raises(Unavailable, match="no Vulkan driver offers a device here: install"):
            made.device()
        return
    kind, name, driver = said.split("|")
    assert made.device() == VulkanDevice(int(kind), name, driver)
    assert made.device().is_cpu == (said is LAVAPIPE)
