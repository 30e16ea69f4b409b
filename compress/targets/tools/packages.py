"""Packages of the system and of Python, fetched without root from the user's own sources, and unpacked."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from compress.errors import Unavailable
from compress.python_process import python_command, python_environment

LIMIT_S = 3600
# An empty list of installed packages makes apt fetch every dependency, too.
APT_CONF = """APT::Architecture "{native}";
APT::Architectures {{ {arches} }};
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Log "{folder}";
Debug::NoLocking "1";
"""


def run(
    command: Sequence[str],
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    *,
    succeeds: bool = True,
) -> str:
    """What ``command`` prints on stdout. Raises Unavailable, one line, when it fails and ``succeeds`` is set."""
    try:
        done = subprocess.run(
            command, capture_output=True, env={**os.environ, **(env or {})}, cwd=cwd, timeout=LIMIT_S, check=False
        )
    except FileNotFoundError:
        raise Unavailable(f"{what}: {command[0]} is not installed: install it") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{what}: not done after {LIMIT_S} s: run it again to go on") from None
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode and succeeds:
        raise Unavailable(f"{what}: {_reason(text + done.stderr.decode('utf-8', 'replace'))}")
    return text


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(E:|ERROR|error)", line)] or lines[-1:] or ["no message"]
    return " ".join(telling[0].split())[:300]


def check_debian() -> None:
    """Raise Unavailable unless this is an x86_64 machine that can use apt's packages."""
    if sys.platform != "linux" or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable("needs apt-get and dpkg-deb, as Debian and Ubuntu have them: set it up on such a system")
    if platform.machine() != "x86_64":
        raise Unavailable(f"needs an x86_64 machine, this one is {platform.machine()}")


class Apt:
    """A private apt in ``folder``: the system's sources and keys, lists and packages of its own.

    ``arches``: Debian's names, the machine's own first. ``sources``: a sources.list instead of the system's.
    """

    def __init__(self, folder: Path, arches: Iterable[str], sources: Path | None = None) -> None:
        self.folder, self.arches, self.sources = folder, tuple(arches), sources

    def update(self) -> None:
        """Read the sources' lists. Raises Unavailable when they cannot be reached."""
        for name in ("lists/partial", "archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        listed = " ".join(f'"{arch}";' for arch in self.arches)
        text = APT_CONF.format(native=self.arches[0], arches=listed, folder=self.folder)
        if self.sources is not None:
            text += f'Dir::Etc::sourcelist "{self.sources}";\nDir::Etc::sourceparts "-";\n'
        (self.folder / "apt.conf").write_text(text)
        # What one source lacks another may have: only packages that none has are an error.
        self._get("update", what="apt update")

    def fetch(self, packages: Sequence[str]) -> list[Path]:
        """Download packages (``name:arch``) and all that they depend on -> their files; hashes checked by apt."""
        arguments = ["--download-only", "--no-install-recommends", "--yes", "install", *packages]
        self._get(*arguments, what=f"apt: {packages[0]}")
        return sorted((self.folder / "archives").glob("*.deb"))

    def fetch_alone(self, packages: Sequence[str]) -> list[Path]:
        """Download packages without what they depend on -> their files; hashes checked by apt."""
        archives = self.folder / "archives"
        self._get("download", *packages, what=f"apt: {packages[0]}", cwd=archives)
        return sorted(archives.glob("*.deb"))

    def _get(self, *words: str, what: str, cwd: Path | None = None) -> None:
        run(["apt-get", "-q", *words], what, {"APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"}, cwd)


def unpack_debs(files: Iterable[Path], into: Path, without: str = r"^$") -> None:
    """Unpack packages whose file names do not match ``without``."""
    into.mkdir(parents=True, exist_ok=True)
    for file in files:
        if not re.match(without, file.name):
            run(["dpkg-deb", "-x", str(file), str(into)], f"unpack {file.name}")


def pip_download(
    requirements: Sequence[str], into: Path, python: str | None = None, platforms: Sequence[str] = ()
) -> None:
    """Download wheels from the user's package index, without dependencies; pip checks the index's hashes.

    ``platforms``: of another machine, with its ``python`` version, e.g. 3.11.
    """
    other = [word for name in platforms for word in ("--platform", name)]
    if python:
        other += ["--python-version", python, "--implementation", "cp"]
    command = [*python_command("-m", "pip"), "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    what = f"pip download {' '.join(requirements)}"
    run([*command, "--only-binary=:all:", *other, "--dest", str(into), *requirements], what, python_environment())


def unpack_wheels(files: Iterable[Path], into: Path) -> None:
    """Unpack wheels into one folder; none of their files may leave it."""
    for file in files:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(into)


def c_compiler(folder: Path) -> list[str]:
    """The words that begin a C compiler's command: the system's, else ziglang's, fetched into ``folder``."""
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            return [path]
    return zig(folder, "cc")


def zig(folder: Path, verb: str) -> list[str]:
    """The words that begin a command of ziglang's compiler, which runs without installation, fetched when needed."""
    program = folder / "zig" / "ziglang" / "zig"
    if not program.exists():
        with tempfile.TemporaryDirectory() as wheels:
            pip_download(["ziglang"], Path(wheels))
            unpack_wheels(Path(wheels).glob("*.whl"), folder / "zig")
        program.chmod(0o755)
    return [str(program), verb]
