"""Units: what is shared is there once, keys tell what a unit depends on, a thousand are planned at once."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.pipeline.workers.base import ALL
from compress.recipe.load import to_yaml
from compress.recipe.schema import Recipe
from compress.sweep.points import Points
from compress.sweep.units import Planner, Unit, count

FORMATS = "{openvino: {precisions: [fp32, int8]}}, {onnx: {precisions: [fp32, int8], tensorrt: false}}"


@pytest.fixture()
def plan(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> Callable[..., list[Unit]]:
    def run(text: str, cpus: int = 1) -> list[Unit]:
        (tmp_path / "tiny.yaml").write_text(to_yaml(tiny_recipe()))
        (tmp_path / "s.yaml").write_text(f"version: 1\nname: s\nrecipes: [{tmp_path}/tiny.yaml]\n{text}\n")
        points = Points(tmp_path / "s.yaml")
        return Planner(str(tmp_path / "store"), cpus, False).units(points.known)

    return run


def test_a_calibration_serves_both_formats(plan: Callable[..., list[Unit]]) -> None:
    text = f"search: {{kind: grid, values: {{passes.2.ptq.weight_bits: [8, 7], export: [{FORMATS}]}}}}"
    units = plan("targets: [x86-openvino]\n" + text.replace("weight_bits: [8, 7]", "bias_correction: [true, false]"))
    assert [u.kind for u in units] == ["prefix", "build", "bench", "build"] * 2
    calibrated, openvino, timed, onnx = units[:4]
    assert openvino.task.after == onnx.task.after == (calibrated.task.key,)
    # ONNX files do not run on x86-openvino: nothing is timed there, and the bundle is recorded as it is.
    assert timed.task.after == (openvino.task.key,)
    assert (timed.task.cpus, timed.task.device, timed.task.remote) == (ALL, "x86-openvino", False)
    assert (openvino.task.given["record"], onnx.task.given["record"]) == (False, True)
    assert len({u.task.key for u in units}) == len(units)


def test_an_engine_that_keeps_nothing_shares_nothing(plan: Callable[..., list[Unit]]) -> None:
    units = plan(f"search: {{kind: grid, values: {{passes.2.ptq: [{{engine: onnxruntime}}], export: [{FORMATS}]}}}}")
    assert [u.kind for u in units] == ["build", "build"]


def test_what_keys_depend_on(plan: Callable[..., list[Unit]]) -> None:
    def keys(text: str, cpus: int = 1) -> list[str]:
        return [u.task.key for u in plan(text, cpus)]

    alone = keys("set: {model.seed: 1}")
    assert alone == keys("set: {model.seed: 1}")
    assert alone == keys("set: {model.seed: 1, goals.psnr_drop_db: 0.5}")
    assert alone != keys("set: {model.seed: 2}")
    # A bundle is the same whatever its goals and however it is timed; what is timed and judged is not.
    built, timed = keys("set: {model.seed: 1}\ntargets: [x86-openvino]")
    for other in ("goals.psnr_drop_db: 0.5", "measure: full"):
        again, otherwise = keys(f"set: {{model.seed: 1, {other}}}\ntargets: [x86-openvino]")
        assert again == built and otherwise != timed
    assert alone != keys("set: {model.seed: 1}", 2)
    assert alone + alone != keys("search: {kind: list, points: [{model.seed: 1}, {model.seed: 1}]}") == alone


def test_a_thousand_units_are_planned_quickly(plan: Callable[..., list[Unit]]) -> None:
    seeds = ", ".join(map(str, range(334)))
    began = time.process_time()
    units = plan(f"search: {{kind: grid, values: {{model.seed: [{seeds}], export: [{FORMATS}]}}}}")
    assert time.process_time() - began < 10
    assert count(units) == {"prefix": 334, "build": 668}


def test_what_a_pass_will_refuse_is_refused_before_the_first_unit(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(to_yaml(tiny_recipe()))
    layers = "{kind: grid, values: {passes.2.ptq.keep_float: [[dec], [decoder]], model.seed: [1, 2]}}"
    (tmp_path / "s.yaml").write_text(
        f"version: 1\nname: s\nrecipes: [{tmp_path}/tiny.yaml]\ntargets: []\nsearch: {layers}\n"
    )
    done = CliRunner().invoke(app, ["sweep", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out")])
    assert (done.exit_code, done.stderr.count("no layer is named")) == (2, 1)
    assert "passes.ptq.keep_float: no layer is named decoder" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_opens_no_connection(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """A sweep's file may be a stranger's, and its store any place that is told who asks."""
    (tmp_path / "tiny.yaml").write_text(to_yaml(tiny_recipe()))
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        for url in (
            f"http://{host}/x",
            f"simplecache::http://{host}/x",
            f"s3://x?endpoint_override={host}&scheme=http",
        ):
            text = f"version: 1\nname: s\nrecipes: [{tmp_path}/tiny.yaml]\ntargets: []\nstore: {url}\n"
            (tmp_path / "s.yaml").write_text(text)
            asked = ["sweep", str(tmp_path / "s.yaml"), "--dry-run", "--out", str(tmp_path / "out")]
            done = CliRunner().invoke(app, [*asked, "--json"])
            plan = json.loads(done.stdout)
            assert (plan["cached"], plan["estimated_seconds"], plan["to_run"]) == (None, None, {"build": 1})
            assert {unit["cached"] for unit in plan["units"]} == {None}
            assert "a dry run opens no connection" in CliRunner().invoke(app, asked).stdout
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
