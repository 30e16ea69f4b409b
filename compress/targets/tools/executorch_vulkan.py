"""ExecuTorch's Vulkan runtime, which its wheel lacks: built from a clone of its sources, for the wheel's own core.

The library registers itself in a process that has loaded the wheel's ``libexecutorch.so``, as the wheel's own backends
do.
"""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from compress.errors import InputError, Unavailable
from compress.files import real_path
from compress.python_process import python_command, python_environment
from compress.targets.tools.base import NATIVE, Step, Tool, installed
from compress.targets.tools.packages import run

DEVICE = "vulkan_device.cpp"
VULKAN = Path("backends/vulkan")
SCHEMA = VULKAN / "serialization/schema.fbs"
RUNTIME = VULKAN / "runtime"
SHADERS = RUNTIME / "graph/ops/glsl"
VOLK, HEADERS, ALLOCATOR = (
    VULKAN / "third-party" / name for name in ("volk", "Vulkan-Headers", "VulkanMemoryAllocator")
)
FLATBUFFERS = Path("third-party/flatbuffers")
SUBMODULES = {
    VOLK: "volk.c",
    HEADERS: "include/vulkan/vulkan_core.h",
    ALLOCATOR: "include/vk_mem_alloc.h",
    FLATBUFFERS: "include/flatbuffers/flatbuffers.h",
}
"""Those that it is built from, each with a file that it must have."""
FETCH = " ".join(("git", "submodule", "update", "--init", *map(str, SUBMODULES)))
PROGRAMS = {"g++": "g++", "glslc": "glslc, of shaderc 2025 or newer"}
FLAGS = ("-O2", "-w", "-fPIC", "-std=c++17", "-fexceptions")
DEFINED = ("-DUSE_VULKAN_WRAPPER", "-DUSE_VULKAN_VOLK", "-DC10_USING_CUSTOM_GENERATED_MACROS")
OPERATORS = RUNTIME / "graph/ops/impl"
# What each operator's file includes takes more than half of the time: it is read once.
COMMON = f"#include <executorch/{OPERATORS}/Common.h>\n#include <executorch/{RUNTIME}/graph/Logging.h>\n"
ASK = """import ctypes, json, sys
library = ctypes.CDLL(sys.argv[1])
library.vulkan_device.restype = ctypes.c_char_p
print(json.dumps(library.vulkan_device().decode("utf-8", "replace").split("|")))
"""
CPU = 4
"""Vulkan's number of a device that computes on the CPU."""


@dataclass(frozen=True)
class VulkanDevice:
    """What Vulkan says of a device: ``kind`` is its VkPhysicalDeviceType."""

    kind: int
    name: str
    driver: str

    @property
    def is_cpu(self) -> bool:
        """Whether its driver computes on the CPU, as Mesa's lavapipe does."""
        return self.kind == CPU


class ExecutorchVulkan(Tool):
    """``source``: a clone of ExecuTorch's repository, which setting it up needs."""

    name = "executorch-vulkan"
    purpose = "ExecuTorch's Vulkan programs on this machine: a GPU, or Mesa's lavapipe on the CPU"
    download_mb = 0  # the clone is the user's own
    sources = (DEVICE,)

    def __init__(self, source: Path | None = None) -> None:
        self.source = source

    def versions(self) -> dict[str, str]:
        """The wheel's version: the library is linked with its core."""
        return {"executorch": installed("executorch")}

    @property
    def setup_command(self) -> str:
        return " ".join((super().setup_command, "--source", "CLONE"))

    @property
    def advice(self) -> str:
        return f"run `{self.setup_command}`, with a clone of ExecuTorch {self.versions()['executorch']}"

    def check(self) -> None:
        """Raise InputError for no clone, or one of another version or without submodules, Unavailable where something
        that builds it is missing."""
        if sys.platform != "linux":
            raise Unavailable("ExecuTorch's Vulkan runtime is built on Linux only: set it up there")
        if self.source is None:
            raise InputError(f"{self.name} is built from ExecuTorch's sources: {self.advice}")
        if not (self.source / SCHEMA).is_file():
            raise InputError(f"{self.source}: no clone of ExecuTorch, it has no {SCHEMA}: give one (--source)")
        for part, file in SUBMODULES.items():
            if not (self.source / part / file).is_file():
                raise InputError(f"{self.source}: lacks the submodule {part}: fetch it there, `{FETCH}`")
        if (self.source / SCHEMA).read_bytes() != (_wheel() / SCHEMA).read_bytes():
            version = self.versions()["executorch"]
            raise InputError(
                f"{self.source}: reads other Vulkan programs than executorch {version} writes: check out v{version}"
            )
        for program, package in PROGRAMS.items():
            if shutil.which(program) is None:
                raise Unavailable(f"{self.name}: {program} is not installed: install {package}")

    def steps(self) -> list[Step]:
        """Each is done once; compiling the shaders and the runtime takes some minutes each."""
        return [
            ("compile the shaders", self._shaders),
            ("compile the runtime", self._runtime),
            ("link it", self._link),
            ("try it", self._try),
        ]

    @property
    def library(self) -> Path:
        """What a process loads to run Vulkan programs."""
        return self.folder / "libexecutorch_backend_vulkan.so"

    def device(self) -> VulkanDevice:
        """The device that programs run on. Raises Unavailable where no driver of this machine offers one."""
        said = json.loads(run(python_command("-c", ASK, str(self.library)), "ask Vulkan", python_environment()))
        if len(said) < 3:
            raise Unavailable("no Vulkan driver offers a device here: install the GPU's, or Mesa's lavapipe")
        kind, name, driver = said[:3]
        return VulkanDevice(int(kind), name, driver)

    # --- steps ---------------------------------------------------------------------------------------------------

    @property
    def _build(self) -> Path:
        return self.folder / "downloads"

    @property
    def _clone(self) -> Path:
        assert self.source is not None
        return real_path(self.source)

    def _shaders(self) -> None:
        out, generator = self._build / "shaders", self._clone / RUNTIME / "gen_vulkan_spv.py"
        folders = {"--glsl-path": self._clone / SHADERS, "--output-path": out, "--tmp-dir-path": out / "kept"}
        words = [word for key, folder in folders.items() for word in (key, str(folder))]
        command = python_command(str(generator), *words, "--glslc-path", str(shutil.which("glslc")), "--optimize")
        run(command, "compile Vulkan's shaders", python_environment())

    def _runtime(self) -> None:
        """Every source into an object; the first of what fails is the error."""
        build, tree = self._build / "objects", self._build / "include"
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir(parents=True)
        tree.mkdir(exist_ok=True)
        (tree / "executorch").unlink(missing_ok=True)
        (tree / "executorch").symlink_to(self._clone)  # files are included as <executorch/...>
        schema = self._build / "schema"
        flatc = [str(_wheel() / "data/bin/flatc"), "--cpp", "--cpp-std", "c++11", "--scoped-enums"]
        run([*flatc, "-o", str(schema / "executorch" / SCHEMA.parent), str(self._clone / SCHEMA)], "compile the schema")
        header = build / "common.h"
        header.write_text(COMMON)
        compiler = ["g++", *FLAGS, *DEFINED, *self._included(tree, schema)]
        run([*compiler, "-x", "c++-header", str(header), "-o", f"{header}.gch"], "compile the runtime's headers")
        sources = [self._build / "shaders/spv.cpp", *sorted((self._clone / RUNTIME).rglob("*.cpp")), NATIVE / DEVICE]
        commands = []
        for i, source in enumerate(sources):
            # Not of the others: one of them instantiates the allocator, and must include nothing before.
            first = ["-include", str(header)] if source.parent == self._clone / OPERATORS else []
            commands.append([*compiler, *first, "-c", str(source), "-o", str(build / f"{i}.o")])
        volk = ["-x", "c", str(self._clone / VOLK / "volk.c"), "-o", str(build / "volk.o")]
        commands.append(["g++", "-O2", "-fPIC", f"-I{self._clone / HEADERS / 'include'}", "-c", *volk])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda command: run(command, "compile the Vulkan runtime"), commands))

    def _included(self, *first: Path) -> list[str]:
        wheel = _wheel() / "include"
        # The wheel's core before the clone's: the library is linked with it.
        folders = [wheel, wheel / "executorch/runtime/core/portable_type/c10", *first]
        folders += [self._clone / part for part in (VOLK, HEADERS / "include", ALLOCATOR, FLATBUFFERS / "include")]
        return [f"-I{folder}" for folder in folders]

    def _link(self) -> None:
        core = _wheel() / "lib"
        objects = [str(path) for path in sorted((self._build / "objects").glob("*.o"))]
        linked = [f"-L{core}", "-lexecutorch", "-ldl", f"-Wl,-rpath,{core}", "-Wl,--no-undefined"]
        run(["g++", "-shared", "-o", str(self.library), *objects, *linked], "link the Vulkan runtime")

    def _try(self) -> None:
        code = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
        run(python_command("-c", code, str(self.library)), "try the Vulkan runtime", python_environment())


def _wheel() -> Path:
    """Where the installed ExecuTorch lies. Raises Unavailable where there is none."""
    spec = importlib.util.find_spec("executorch")
    found: Sequence[str] = (spec and spec.submodule_search_locations) or ()
    folder = next((Path(place) for place in found if (Path(place) / SCHEMA).is_file()), None)
    if folder is None:
        raise Unavailable("executorch is not installed: install it, pip install executorch")
    return folder
