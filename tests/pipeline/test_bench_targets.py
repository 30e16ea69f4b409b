"""`compress bench`: the recipe's own targets, one table, and figures of a busy machine marked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from compress.bundle.manifest import write_manifest
from compress.cli.commands import app
from compress.errors import InputError, VerificationError
from compress.pipeline.bench_targets import Benches, bench_targets
from compress.progress import Progress
from compress.results.machine import BUSY_CORES, BusyProcess, Machine
from compress.results.performance import Latency, Performance, Speedup, Speedups
from compress.targets.bench import BenchResult

SILENT = Progress("silent")


def entry(**facts: Any) -> Performance:
    timed = {"latency_ms": Latency(p50=96.52, p90=101.2), "speedup_vs": Speedups(fp32=Speedup(value=3.594))}
    return Performance(artifact="openvino-int8", target="x86-openvino", **{**timed, **facts})


def shown(*entries: Performance) -> str:
    console = Console(width=110, markup=False)
    with console.capture() as captured:
        console.print(Benches(Path("runs/x"), [BenchResult(Path("runs/x"), list(entries))]).table())
    return " ".join(captured.get().split())


def machine(*cores: float) -> Machine:
    return Machine(busy=[BusyProcess(name=f"p{i}", cores=c) for i, c in enumerate(cores)])


def test_a_row_has_the_figures_and_their_evidence() -> None:
    text = shown(entry(machine=machine(), first_inference_ms=120.0, peak_rss_mb=210.4))
    assert "openvino-int8 x86-openvino 96.5 101 3.59x 120 - 210 measured" in text
    assert "*" not in text


def test_a_p90_of_too_few_runs_says_so() -> None:
    why = "p90 -: it needs 64 timed runs or more; `measure: full` in the recipe makes as many"
    assert why in shown(entry(), entry(latency_ms=Latency(p50=900.0, p90=None)))
    # Nothing was timed where there is no median: the evidence says why.
    assert "p90 -" not in shown(entry(), entry(latency_ms=None, evidence="emulated"))


def test_a_busy_machine_is_marked() -> None:
    text = shown(entry(machine=machine(1.1, 0.3)), entry(machine=machine(BUSY_CORES / 2)))
    assert text.count("96.5*") == 1
    assert "* measured while other processes took 1.4 cores (p0, p1): measure again on an idle machine" in text


def test_what_is_not_timed_here_is_never_busy() -> None:
    emulated = entry(evidence="emulated", machine=machine(2.0), instructions_vs_fp32=2.31, latency_ms=None)
    assert emulated.busy == ""
    assert "emulated, 2.31x fewer instructions than fp32" in shown(emulated)


def test_the_worst_exit_code_counts() -> None:
    gone = BenchResult(Path("b"), [], "target x: not here")
    assert Benches(Path("b"), [BenchResult(Path("b"), [entry()])]).exit_code == 0
    both = Benches(Path("b"), [BenchResult(Path("b"), [entry()]), gone])
    assert (both.exit_code, both.messages) == (4, ["target x: not here"])


def test_the_recipes_targets_are_taken(bundle: Path) -> None:
    with pytest.raises(InputError, match=r"its recipe names no target: give one \(--target"):
        bench_targets(bundle, [], SILENT)
    with pytest.raises(InputError, match=r"host pi: is one device, got 2 targets: give one \(--target\)"):
        bench_targets(bundle, ["x86-openvino", "x86-onnxruntime"], SILENT, "pi")
    with pytest.raises(InputError, match=r"not a bundle, it has no manifest\.json"):
        bench_targets(bundle / "int8", [], SILENT)


def test_a_target_that_runs_nothing_is_refused_before_others_are_measured(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.pipeline.bench_targets.bench", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(InputError) as refused:
        bench_targets(bundle, ["x86-openvino", "x86-executorch", "x86-executorch-vulkan"], SILENT)
    assert str(refused.value).splitlines() == [
        f"{bundle}: holds no executorch artifact for target x86-executorch: add executorch for xnnpack to the recipe's "
        "export, or choose another target",
        f"{bundle}: holds no executorch artifact of backend vulkan for target x86-executorch-vulkan: export for it "
        "(`compress apply RECIPE --set export='{executorch: {backend: vulkan}}' --target TARGET`), or choose another "
        "target",
    ]


@pytest.mark.parametrize("name", ["./pi.yaml", "pi.yaml", "/tmp/pi.yaml", "~/pi.yaml", "a/b", "..\\pi"])
def test_a_bundle_sends_nobody_to_a_device_of_its_own(bundle: Path, tmp_path: Path, name: str) -> None:
    """A target's file says which host is reached: one that came with a stranger's bundle would be his."""
    shutil.copytree(bundle, tmp_path / "b")
    recipe = tmp_path / "b" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("targets: []", f"targets: ['{name}']"))
    with pytest.raises(VerificationError, match="differs from its hash"):
        bench_targets(tmp_path / "b", [], SILENT)
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    write_manifest(tmp_path / "b", manifest, [file["path"] for file in manifest.pop("files")])
    with pytest.raises(InputError, match=r"its recipe's target is a file, .*: give it \(--target\)"):
        bench_targets(tmp_path / "b", [], SILENT)


def test_the_command_prints_a_table_or_json(bundle: Path) -> None:
    done = CliRunner().invoke(app, ["bench", str(bundle), "--target", "x86-onnxruntime"])
    assert done.exit_code == 0, done.stderr
    assert "onnx-int8" in done.stdout and "vs fp32" in done.stdout and "{" not in done.stdout
    document = json.loads(
        CliRunner().invoke(app, ["bench", str(bundle), "--target", "x86-onnxruntime", "--json"]).stdout
    )
    assert {entry["artifact"] for entry in document["performance"]} == {"onnx-fp32", "onnx-int8"}
