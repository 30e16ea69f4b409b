"""`compress targets ls` and `check`."""

import json
import platform
from pathlib import Path

from typer.testing import CliRunner

from compress.cli.commands import app
from compress.recipe.library import find, names


def run(*words: str) -> tuple[int, dict[str, dict]]:
    done = CliRunner().invoke(app, ["targets", *words, "--json"])
    return done.exit_code, {state["name"]: state for state in json.loads(done.stdout)["targets"]}


def test_every_target_is_listed_and_no_device_is_asked() -> None:
    code, result = run("ls")
    assert code == 0 and list(result) == names("targets")
    assert result["rpi5"]["available"] is None
    assert result["rpi5"]["next"] == "not asked: `compress targets check rpi5`"
    assert (result["rpi5"]["evidence"], result["rpi5"]["available"]) == ("unknown", None)
    npu = result["intel-npu-4000"]
    assert (npu["available"], npu["evidence"]) == (False, "unavailable")
    assert npu["next"] == "`compress targets setup intel-npu-compiler`, 290 MB; or --host"
    assert result["x86-openvino"]["available"] is (platform.machine() == "x86_64")


def test_check_tries_what_is_behind_ssh(tmp_path: Path) -> None:
    board = tmp_path / "board.yaml"
    board.write_text(find("targets", "rpi5").read_text().replace("host: rpi5", "host: no-such-host.invalid"))
    code, result = run("check", str(board))
    assert code == 4
    assert result["rpi5"]["next"].startswith("no-such-host.invalid cannot be reached (ssh: Could not resolve hostname")


def test_people_get_a_table() -> None:
    done = CliRunner().invoke(app, ["targets", "ls"])
    assert done.exit_code == 0 and "jetson-orin-nano" in done.stdout and "parser" in done.stdout
    board = next(line for line in done.stdout.splitlines() if "rpi5 " in line)
    assert "unknown" in board and "measured" not in board, "nobody asked whether it is there"
