"""A tool is built step by step; what is there is not built again."""

from pathlib import Path

import pytest

from compress.cli.targets import ToolName
from compress.errors import InputError, Unavailable
from compress.progress import Progress
from compress.targets.tools import NAMES, tool
from compress.targets.tools.base import Step, Tool

SILENT = Progress("silent")


class Toy(Tool):
    """Two steps; the second fails while ``broken`` is set."""

    name, purpose, download_mb = "toy", "nothing", 1
    broken = False
    here = True

    def __init__(self) -> None:
        self.done: list[str] = []

    def versions(self) -> dict[str, str]:
        return {"toy": "1"}

    def check(self) -> None:
        if not self.here:
            raise Unavailable("needs a toy box")

    def steps(self) -> list[Step]:
        return [("first", lambda: self.done.append("first")), ("second one", self._second)]

    def _second(self) -> None:
        if self.broken:
            raise Unavailable("second: no connection")
        self.done.append("second")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path))


def test_a_stopped_setup_goes_on_where_it_was(tmp_path: Path) -> None:
    toy = Toy()
    toy.broken = True
    with pytest.raises(Unavailable, match="second: no connection"):
        toy.setup(SILENT)
    assert not toy.ready
    with pytest.raises(
        Unavailable, match=r"toy is not set up here: run `compress targets setup toy` \(1 MB to download\)"
    ):
        toy.require()
    toy.broken = False
    assert toy.setup(SILENT) == toy.require() and toy.ready
    assert toy.done == ["first", "second"]
    assert toy.folder.parent == tmp_path
    again = Toy()
    again.setup(SILENT)
    assert again.done == []


def test_another_version_is_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Toy().folder
    monkeypatch.setattr(Toy, "versions", lambda self: {"toy": "2"})
    assert Toy().folder != old


def test_what_cannot_be_here_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "here", False)
    with pytest.raises(Unavailable, match="needs a toy box"):
        Toy().setup(SILENT)


def test_a_full_disk_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "download_mb", 1 << 40)
    toy = Toy()
    with pytest.raises(InputError, match=r"has \d+ MB free, toy takes \d+: set COMPRESS_CACHE to another"):
        toy.setup(SILENT)
    assert toy.done == []


def test_every_tool_has_its_name_and_purpose() -> None:
    assert [tool(name).name for name in NAMES] == list(NAMES)
    assert [item.value for item in ToolName] == [*NAMES, "web"]
    for item in map(tool, NAMES):
        assert item.purpose and item.setup_command.startswith(f"compress targets setup {item.name}")


def test_an_unknown_tool() -> None:
    with pytest.raises(InputError, match=r"'arm-emulater': unknown tool, did you mean arm-emulator?"):
        tool("arm-emulater")
