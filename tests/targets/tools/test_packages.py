"""Fetching and unpacking: what fails is one line."""

import os
import sys
import zipfile
from pathlib import Path

import pytest

from compress.errors import Unavailable
from compress.targets.tools import packages
from compress.targets.tools.packages import check_debian, pip_download, run, unpack_wheels


def test_a_command_that_fails_says_why_in_one_line() -> None:
    code = "import sys; print('reading', file=sys.stderr); print('E: no such package', file=sys.stderr); sys.exit(100)"
    with pytest.raises(Unavailable, match=r"^apt: E: no such package$"):
        run([sys.executable, "-c", code], "apt")
    assert run([sys.executable, "-c", "print(1); import sys; sys.exit(3)"], "it", succeeds=False) == "1\n"


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(Unavailable, match="unpack: no-such-program is not installed: install it"):
        run(["no-such-program"], "unpack")


def test_an_index_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(Unavailable, match=r"pip download no-such-wheel==1: ERROR: .*no-such-wheel"):
        pip_download(["no-such-wheel==1"], tmp_path)


def test_a_wheel_that_would_leave_its_folder_does_not(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.whl", "w") as archive:
        archive.writestr("../out.txt", "x")
        archive.writestr("in.txt", "x")
    unpack_wheels([tmp_path / "bad.whl"], tmp_path / "site")
    assert not (tmp_path / "out.txt").exists() and (tmp_path / "site" / "in.txt").exists()


def test_a_system_without_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(Unavailable, match="needs apt-get and dpkg-deb, as Debian and Ubuntu have them"):
        check_debian()
