"""What `compress apply --dry-run` says of the folder and of the time, and what that stands on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_overloads

import pytest
from rich.console import Console
from typer.testing import CliRunner

import compress
from compress.cli.commands import app
from compress.errors import InputError
from compress.pipeline.dry_run import Plan
from compress.pipeline.run_time import MEASURED
from compress.recipe.load import to_yaml
from compress.recipe.schema import Recipe
from compress.results.file import RESULTS

Make = Callable[..., Recipe]
ROOT = Path(__file__).parents[2]


def planned(recipe: Recipe, folder: Path, **more: Any) -> Plan:
    plan = compress.apply(recipe, folder, dry_run=True, **more)
    assert isinstance(plan, Plan)
    return plan


def shown(plan: Plan) -> list[str]:
    console = Console(width=1000)
    with console.capture() as capture:
        console.print(plan.table())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_new_folder_and_no_basis_for_a_time(tiny_recipe: Make, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.lock").touch()
    plan = planned(tiny_recipe(), tmp_path / "out")
    assert (plan.state, plan.exit_code, plan.to_json()["expected_seconds"]) == ("new", 0, None)
    assert "folder: new" in shown(plan)
    none = "time: not known: no earlier run of tiny with these artifacts from the start is here"
    assert f"{none}; where README was measured, {MEASURED}" in shown(plan)
    # What README measured says nothing of another backend's compiler.
    export = {"executorch": {"backend": "ethos_u", "accelerator": "ethos-u55-256"}}
    npu = tiny_recipe(export=export, passes=[{"fold_time": {}}, {"ptq": {"engine": "torchao"}}])
    assert none in shown(planned(npu, tmp_path / "npu"))


def test_the_time_of_the_readme_is_the_readmes() -> None:
    """The line above stands on its table."""
    seconds, cores, machine = re.match(r"int8_sr took (\d+) s on (2 cores), (.+)", MEASURED).groups()  # type: ignore[union-attr]
    rows = [row.strip("| ").split(" | ") for row in (ROOT / "README.md").read_text("utf-8").splitlines()]
    (machines,) = (row for row in rows if row[0] == cores)
    (times,) = (row for row in rows if row[0] == "whole run")
    assert dict(zip(machines, times, strict=True))[machine] == f"{seconds} s"


def test_a_type_checker_knows_a_plan_from_a_result() -> None:
    assert [each.__annotations__["return"] for each in get_overloads(compress.apply)] == [
        "ApplyResult",
        "Plan",
        "ApplyResult | Plan",
    ]


def test_what_exists_is_reused_continued_or_made_again(tiny_recipe: Make, bundle: Path) -> None:
    plan = planned(tiny_recipe(), bundle)
    assert (plan.state, plan.to_json()["folder"]) == ("reused", {"state": "reused", "refused": None})
    assert "folder: exists: would be reused, nothing would be made again" in shown(plan)
    assert not any(line.startswith("time:") for line in shown(plan))
    assert planned(tiny_recipe(), bundle, resume=False).state == "replaced"
    (bundle / "manifest.json").unlink()
    assert planned(tiny_recipe(), bundle).state == "continued"


def test_what_would_be_refused_says_why_and_changes_nothing(tiny_recipe: Make, bundle: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    other = tiny_recipe(name="other", passes=[{"collapse": {}}, {"fold_time": {}}, {"ptq": {}}])
    plan = planned(other, bundle)
    assert (plan.state, plan.exit_code) == ("refused", 2)
    (line,) = (line for line in shown(plan) if line.startswith("folder:"))
    assert line == "folder: refused: nothing would be written into it"
    assert plan.refused.startswith(f"{bundle}: holds the bundle of ")
    assert plan.refused.endswith("name another folder (--out), or replace it (resume=False)")
    assert {path: path.stat().st_mtime_ns for path in bundle.rglob("*")} == before
    with pytest.raises(InputError, match=r"holds the bundle of .* or replace it \(resume=False\)$"):
        compress.apply(other, bundle)
    (tmp_path / "other.yaml").write_text(to_yaml(other))
    for dry_run in ((), ("--dry-run",)):
        done = CliRunner().invoke(app, ["apply", str(tmp_path / "other.yaml"), "--out", str(bundle), *dry_run])
        assert done.exit_code == 2 and done.stderr.endswith("(--out), or replace it (--fresh)\n"), done.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").touch()
    assert "diary.txt, which compress did not write" in planned(other, tmp_path / "mine").refused


def test_the_time_is_that_of_an_earlier_run_from_the_start(tiny_recipe: Make, bundle: Path) -> None:
    """The bundle was stopped once and continued: its time is not that of a whole run."""
    recipe = tiny_recipe(goals={"size_ratio": 0.9})
    assert planned(recipe, bundle).run_time.seconds is None
    results = json.loads((bundle / RESULTS).read_text())
    made = [{"stage": f"write {a['id']}", "seconds": 1.0} for a in results["artifacts"]]
    results |= {"seconds": 130.0, "created": "2026-11-01T10:00:00+00:00", "seconds_by_stage": made}
    (bundle / RESULTS).write_text(json.dumps(results))
    plan = planned(recipe, bundle)
    assert plan.to_json()["expected_seconds"] == 130
    for export in ({"openvino": {}}, {"executorch": {"backend": "vulkan"}}):
        assert planned(tiny_recipe(export=export), bundle).run_time.seconds is None
    (line,) = (line for line in shown(plan) if line.startswith("time:"))
    assert line.startswith(f"time: about 2 minutes: the run of 2026-11-01 that made {bundle} took 130 s (")
    results["machine"] |= {"cpu": "x)\n\x1b[2Jtargets: none"}
    (bundle / RESULTS).write_text(json.dumps(results))
    assert "\n" not in str(planned(recipe, bundle).run_time)
    (bundle / RESULTS).write_text("{")
    assert planned(recipe, bundle).run_time.seconds is None
