"""Whole sweeps of the tiny model: shared work once, failures recorded, nothing repeated, a killed node made up for."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.pipeline.workers import Task
from compress.pipeline.workers.in_process import InProcess
from compress.pipeline.workers.on_ray import SETTINGS, OnRay
from compress.progress import Progress
from compress.recipe.load import to_yaml
from compress.recipe.schema import Recipe
from compress.sweep.result import SweepResult
from compress.sweep.run import sweep
from compress.sweep.status import Status, status

pytestmark = pytest.mark.slow
SILENT = Progress("silent")
# Most layers stay float: that makes calibrations and exports cheaper, and no test here looks at the network.
KEPT = ["enc", "mmse", "fmir.steps.0.down_blocks", "fmir.steps.0.up_blocks", "dec.layers.2"]
PASSES = [{"collapse": {}}, {"fold_time": {}}, {"ptq": {"rounding": "nearest", "keep_float": KEPT}}]
SWEEP = """version: 1
name: bits
recipes: [tiny.yaml]
cpus: 1
search:
  kind: list
  points:
    - {export: {onnx: {precisions: [fp32, int8], tensorrt: false}}}
    - {export: {openvino: {precisions: [fp32, int8]}}}
    - {export: {onnx: {precisions: [fp32], tensorrt: false}}, passes: [{collapse: {}}, {prune: {widths: {dec: [8]}}}]}
"""


@contextmanager
def working_in(place: Path) -> Iterator[Path]:
    """The working folder, with a cache and a ledger of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("COMPRESS_CACHE", str(place / "cache"))
        patch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{place}/ledger.sqlite")
        yield place


@pytest.fixture(scope="module")
def write_files(tiny_recipe: Callable[..., Recipe]) -> Callable[[Path], Path]:
    """(folder) -> the same, with the sweep's files."""

    def write(place: Path) -> Path:
        (place / "tiny.yaml").write_text(to_yaml(tiny_recipe(passes=PASSES)))
        (place / "sweep.yaml").write_text(SWEEP)
        return place

    return write


def run(out: str, address: str | None = None) -> SweepResult:
    result = sweep(Path("sweep.yaml"), Path(out), address, SILENT)
    assert isinstance(result, SweepResult)
    return result


@dataclass(frozen=True)
class Swept:
    """A sweep in ``folder``/first that was stopped at its third unit and run again.

    ``stopped``: how it stood between the runs; ``finished``: the mtimes of the units that were done then.
    """

    folder: Path
    result: SweepResult
    stopped: Status
    finished: dict[Path, int]


@pytest.fixture(scope="module")
def swept(write_files: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Swept:
    from compress.sweep import work

    once = work.once

    def interrupt(job: work.Job, do: Any) -> Any:
        if job.label == "tiny openvino":
            raise KeyboardInterrupt
        return once(job, do)

    with working_in(write_files(tmp_path_factory.mktemp("swept"))) as folder:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(work, "once", interrupt)
            run("first")
        stopped = status(folder / "first")
        finished = {p: p.stat().st_mtime_ns for p in (folder / "first/store/units").iterdir()}
        return Swept(folder, run("first"), stopped, finished)


@pytest.fixture()
def folder(write_files: Callable[[Path], Path], tmp_path: Path) -> Iterator[Path]:
    """A fresh working folder."""
    with working_in(write_files(tmp_path)) as place:
        yield place


@pytest.fixture()
def used(swept: Swept) -> Iterator[Path]:
    """The working folder of ``swept``."""
    with working_in(swept.folder) as place:
        yield place


def test_an_interrupted_sweep_goes_on(swept: Swept) -> None:
    assert swept.stopped.done == len(swept.finished) == 2
    assert swept.result.units[2].status == "done"
    assert all(p.stat().st_mtime_ns == when for p, when in swept.finished.items())


def test_shared_once_failures_recorded_nothing_repeated(
    swept: Swept, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compress.ledger import open_ledger

    first = swept.result
    assert [(u.kind, u.status) for u in first.units] == [
        ("prefix", "done"),
        ("build", "done"),
        ("build", "done"),
        ("build", "failed"),
    ]
    assert "passes.prune.widths.dec: 1 widths for 4 resolutions" in (first.units[3].message or "")
    assert first.exit_code == 0
    assert {(row.point, row.artifact) for row in first.rows} == {
        ("tiny onnx", "onnx-fp32"),
        ("tiny onnx", "onnx-int8"),
        ("tiny openvino", "openvino-fp32"),
        ("tiny openvino", "openvino-int8"),
    }
    # The calibration is the prefix's: no build made one of its own.
    assert len(list((used / "first/store/prefixes").iterdir())) == 1
    frontier = json.loads((used / "first/sweep.json").read_text())["frontier"]["not timed · validation"]
    assert {row["artifact"] for row in frontier} <= {row.artifact for row in first.rows}
    assert sorted(row.artifact for row in open_ledger().rows()) == [
        "onnx-fp32",
        "onnx-int8",
        "openvino-fp32",
        "openvino-int8",
    ]
    assert "first/store/bundles/" in (open_ledger().rows()[0].bundle or "")

    text = status(used / "first")
    assert (text.units, text.done, len(text.running), len(text.failed)) == (4, 3, 0, 1)

    asked: list[str] = []
    before = InProcess.run

    def watched(self: InProcess, tasks: list[Task], *rest: Any) -> Any:
        asked.extend(task.label for task in tasks)
        return before(self, tasks, *rest)

    monkeypatch.setattr(InProcess, "run", watched)
    again = run("first")
    assert len(asked) == 1  # the failed one
    assert (again.sha256, again.rows) == (first.sha256, first.rows)


def test_a_killed_node_changes_nothing(swept: Swept, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        second = cluster.add_node(**node)
        cluster.wait_for_nodes()
        killed: list[str] = []
        before = OnRay.run

        def disturbed(self: OnRay, tasks: Any, on_outcome: Any, tick: Any) -> Any:
            def kill() -> None:
                if not killed and len(list((folder / "there/store/running").glob("*"))) == 2:
                    cluster.remove_node(second, allow_graceful=False)
                    killed.append("second")
                tick()

            return before(self, tasks, on_outcome, kill)

        monkeypatch.setattr(OnRay, "run", disturbed)
        actual = run("there", cluster.address)
    finally:
        cluster.shutdown()
    assert killed == ["second"]
    assert actual.sha256 == swept.result.sha256
    assert [u.status for u in actual.units] == [u.status for u in swept.result.units]


def test_no_sweep_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sweep has run there"):
        status(tmp_path / "first")


def test_a_store_without_rights(folder: Path) -> None:
    (folder / "file").write_text("")
    (folder / "sweep.yaml").write_text(SWEEP + "store: file/below\n")
    with pytest.raises(InputError, match=r"^store file/below: cannot be used \("):
        run("first")


def test_an_optuna_sweep_on_a_shared_ledger(folder: Path, monkeypatch: pytest.MonkeyPatch, postgresql: str) -> None:
    """Each trial is a point of its own; their rows are in PostgreSQL, and naming them again adds none."""
    from compress.ledger import open_ledger

    monkeypatch.setenv("COMPRESS_LEDGER_URL", postgresql)
    values = "{passes.2.ptq.layer_bits: [{}, {dec: 4}], passes.2.ptq.range: [min_max, mse]}"
    search = f"{{kind: optuna, trials: 2, at_once: 2, goals: [bytes, fidelity_db], values: {values}}}"
    export = "set: {export: {onnx: {precisions: [fp32, int8], tensorrt: false}}}"
    (folder / "sweep.yaml").write_text(SWEEP[: SWEEP.index("search:")] + f"{export}\nsearch: {search}\n")
    first = run("first")
    built = [unit.label for unit in first.units if unit.kind == "build"]
    assert len(built) == len(set(built)) and 1 <= len(built) <= 2 and first.exit_code == 0
    rows = len(open_ledger().rows())
    assert rows == 2 * len(built)  # fp32 and int8
    again = run("first")
    assert again.sha256 == first.sha256 and len(open_ledger().rows()) == rows
