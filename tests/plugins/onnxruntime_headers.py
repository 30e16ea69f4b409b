"""ONNX Runtime for C++: the library of its wheel, and the headers, which no wheel holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASE = "trixie"
"""Debian 13: the first with libonnxruntime-dev. Newer libraries run what is compiled with older headers."""
PACKAGE = "libonnxruntime-dev"


@pytest.fixture(scope="session")
def onnxruntime_headers(shared: Callable[..., Any]) -> Path:
    """The folder that holds onnxruntime_cxx_api.h: the system's, or that of Debian's package, which is downloaded."""
    for folder in ("/usr/local/include", "/usr/local/include/onnxruntime", "/usr/include/onnxruntime"):
        if Path(folder, "onnxruntime_cxx_api.h").is_file():
            return Path(folder)
    return Path(shared("onnxruntime-headers", _download)[0]) / "usr/include/onnxruntime"


def _download(folder: Path) -> None:
    from compress.errors import Unavailable
    from compress.targets.tools.packages import Apt, check_debian, unpack_debs

    sources = folder / "sources.list"
    try:
        check_debian()
        sources.write_text(f"deb [signed-by={KEYS}] {_mirror(folder / 'system')} {RELEASE} main\n")
        apt = Apt(folder / "apt", ["amd64"], sources)
        apt.update()
        unpack_debs(apt.fetch_alone([PACKAGE]), folder)
    except Unavailable as error:
        pytest.skip(f"ONNX Runtime's headers cannot be downloaded here: {error}")


def _mirror(folder: Path) -> str:
    """Of Debian, as the system's own sources have it."""
    from compress.errors import Unavailable
    from compress.targets.tools.packages import Apt, run

    (apt := Apt(folder, ["amd64"])).update()
    wanted = ["--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    settings = {"APT_CONFIG": str(apt.folder / "apt.conf")}
    if not (found := run(["apt-get", "indextargets", *wanted], "apt indextargets", settings).split()):
        raise Unavailable("apt: no source of this system is a mirror of Debian")
    return found[0]


def runtime_folder(headers: Path, package: Path, root: Path) -> Path:
    """``root``, made as ONNX Runtime's release archive is laid out. ``package``: the wheel's, unpacked."""
    library = next((package / "capi").glob("libonnxruntime.so.1.*"))
    (root / "lib").mkdir(parents=True)
    (root / "include").symlink_to(headers)
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (root / "lib" / name).symlink_to(library)
    return root
