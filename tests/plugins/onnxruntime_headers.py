"""ONNX Runtime for C++ and Java: the library of its wheel, and headers and sources, which no wheel holds, of Debian."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from compress.targets.tools.packages import Apt

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASE = "trixie"
"""Debian 13: the first with libonnxruntime-dev. Newer libraries run what is compiled with older headers."""
PACKAGE, SOURCE = "libonnxruntime-dev", "onnxruntime"
PARTS = ("java/src/main/", "include/")
"""Of the source package: the Java API, and the headers that its native half includes."""


@pytest.fixture(scope="session")
def onnxruntime_headers(shared: Callable[..., Any]) -> Path:
    """The folder that holds onnxruntime_cxx_api.h: the system's, or that of Debian's package, which is downloaded."""
    for folder in ("/usr/local/include", "/usr/local/include/onnxruntime", "/usr/include/onnxruntime"):
        if Path(folder, "onnxruntime_cxx_api.h").is_file():
            return Path(folder)
    return Path(shared("onnxruntime-headers", _download)[0]) / "usr/include/onnxruntime"


def _download(folder: Path) -> None:
    from compress.errors import Unavailable
    from compress.targets.tools.packages import unpack_debs

    try:
        unpack_debs(_apt(folder, "deb").fetch_alone([PACKAGE]), folder)
    except Unavailable as error:
        pytest.skip(f"ONNX Runtime's headers cannot be downloaded here: {error}")


def sources(folder: Path) -> Path:
    """``PARTS`` of ONNX Runtime's sources, downloaded to ``folder`` -> their root."""
    from compress.errors import Unavailable
    from compress.targets.tools.packages import run

    try:
        settings = {"APT_CONFIG": str(_apt(folder, "deb-src").folder / "apt.conf")}
        command = ["apt-get", "-q", "source", "--download-only", "--tar-only", SOURCE]
        run(command, f"apt: {SOURCE}", settings, folder)
    except Unavailable as error:
        pytest.skip(f"ONNX Runtime's sources cannot be downloaded here: {error}")
    with tarfile.open(next(folder.glob(f"{SOURCE}_*.orig.tar.xz"))) as archive:
        root = archive.next()
        assert root is not None
        wanted = tuple(f"{root.name}/{part}" for part in PARTS)
        archive.extractall(folder, [m for m in archive if m.name.startswith(wanted)], filter="data")
    return folder / root.name


def _apt(folder: Path, kind: str) -> "Apt":
    """Of packages (``kind`` deb) or of sources (deb-src), its lists read."""
    from compress.targets.tools.packages import Apt, check_debian

    check_debian()
    listed = folder / "sources.list"
    listed.write_text(f"{kind} [signed-by={KEYS}] {_mirror(folder / 'system')} {RELEASE} main\n")
    apt = Apt(folder / "apt", ["amd64"], listed)
    apt.update()
    return apt


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
