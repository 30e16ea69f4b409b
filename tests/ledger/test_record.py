"""What `apply` and `bench` leave in the ledger, and what a broken one costs."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import compress
from compress.bundle.manifest import write_manifest
from compress.errors import VerificationError
from compress.ledger import Ledger, open_ledger
from compress.ledger.record import bundle_measurements, record_apply, record_bench
from compress.pipeline import apply as pipeline
from compress.progress import Progress
from compress.recipe.load import to_yaml
from compress.recipe.schema import Recipe
from compress.results.performance import Latency, Performance

FLOATS = {"export": {"onnx": {"precisions": ["fp32"]}}}


@pytest.fixture()
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    return open_ledger()


def apply(recipe: Recipe, out: Path) -> tuple[Any, str]:
    """Its result, and what it said."""
    said = io.StringIO()
    return compress.apply(recipe, out, progress=Progress("lines", said)), said.getvalue()


def test_apply_appends_once(ledger: Ledger, tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    result, _ = apply(tiny_recipe(**FLOATS), tmp_path / "out")
    (row,) = ledger.rows(pictures=True)
    assert (row.artifact, row.command, row.run) == ("onnx-fp32", "apply", result.results["run"])
    assert row.psnr_db == result.results["quality"][0]["psnr_db"] and len(row.pictures) == 2
    assert row.macs == result.results["artifacts"][0]["macs"] > 1e6
    assert row.bundle == str(tmp_path / "out")
    again, _ = apply(tiny_recipe(**FLOATS), tmp_path / "out")
    assert again.reused and ledger.count() == 1


def test_a_run_killed_before_it_was_recorded_is_recorded_by_the_next(
    ledger: Ledger, tiny_recipe: Callable[..., Recipe], bundle: Path
) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pipeline, "record_apply", killed)
        apply(tiny_recipe(), bundle)
    assert ledger.count() == 0
    result, _ = apply(tiny_recipe(), bundle)
    assert result.reused and {row.run for row in ledger.rows()} == {result.results["run"]}
    assert ledger.count() == len(result.results["artifacts"])


@pytest.mark.slow
def test_two_applies_at_once_lose_nothing(ledger: Ledger, tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(to_yaml(tiny_recipe(**FLOATS)))
    command = [sys.executable, "-m", "compress", "apply", str(tmp_path / "recipe.yaml"), "--out"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    settings: dict[str, Any] = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    applies = [subprocess.Popen([*command, str(tmp_path / name)], **settings) for name in ("a", "b")]
    for process in applies:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    rows = ledger.rows()
    assert sorted(row.bundle for row in rows) == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert len({row.run for row in rows}) == 2
    assert len({row.files_sha256 for row in rows}) == 1


def test_a_broken_ledger_loses_no_bundle(
    tiny_recipe: Callable[..., Recipe], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").write_text("no database" * 1000)
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'broken'}")
    result, said = apply(tiny_recipe(), bundle)
    assert result.exit_code == 0 and (bundle / "manifest.json").is_file()
    assert said.splitlines()[-1] == (
        f"not recorded: ledger {tmp_path / 'broken'}: cannot be used (file is not a database): mend that, or set "
        f"COMPRESS_LEDGER_URL to another; later: `compress ledger import {bundle}`"
    )


def test_a_bench_is_recorded_beside_the_bundles_quality(ledger: Ledger, finished: Any) -> None:
    record_apply(finished.folder, print)
    timed = Performance(artifact="onnx-int8", target="x86-onnxruntime", latency_ms=Latency(p50=3.0))
    record_bench(finished.folder, [timed], print)
    record_bench(finished.folder, [timed], print)
    rows = [row for row in ledger.rows() if row.command == "bench"]
    assert [(row.latency_p50_ms, row.artifact) for row in rows] == [(3.0, "onnx-int8")] * 2
    assert rows[0].psnr_db is not None and rows[0].run != rows[1].run


@pytest.mark.parametrize("spoil", [{"artifacts": [{}]}, {"quality": 3}, {"created": "now"}])
def test_damaged_results(spoil: dict, finished: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.folder, tmp_path / "tiny"))
    results = json.loads((folder / "results.json").read_text()) | spoil
    (folder / "results.json").write_text(json.dumps(results))
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = {key: value for key, value in manifest.items() if key not in ("schema_version", "files")}
    write_manifest(folder, facts, [file["path"] for file in manifest["files"]])
    with pytest.raises(VerificationError, match="damaged") as error:
        bundle_measurements(folder)
    assert len(str(error.value).splitlines()) == 1
