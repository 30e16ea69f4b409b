"""The gate: what passes, what fails, what is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.errors import InputError
from compress.ledger import Ledger
from compress.ledger.compare.check import Limits, check
from compress.ledger.compare.check_report import junit_xml, markdown_summary
from compress.ledger.compare.sides import pairs, side
from compress.ledger.record import bundle_measurements
from compress.results.measurement import Measurement

Variant = Callable[..., Path]
PSNR = Limits(max_psnr_drop=0.05)


def same(results: dict[str, Any]) -> None:
    pass


@pytest.fixture()
def earlier(ledger: Ledger, finished: Any) -> Ledger:
    """A ledger with the finished bundle."""
    ledger.append(bundle_measurements(finished.folder))
    return ledger


def test_a_drop_within_the_limit_passes_and_beyond_it_fails(edit: Any, earlier: Ledger, variant: Variant) -> None:
    good, bad = (
        variant("good", edit.worse("onnx-int8", [0.05, 0.03])),
        variant("bad", edit.worse("onnx-int8", [0.2, 0.03])),
    )
    assert check(str(good), "ledger", PSNR).exit_code == 0
    result = check(str(bad), "ledger", PSNR)
    (verdict,) = result.regressions
    assert (result.exit_code, verdict.artifact, verdict.limit) == (3, "onnx-int8", "max_psnr_drop")
    assert verdict.value == pytest.approx(0.115, abs=1e-5) and verdict.interval is not None


def test_pairs_without_end_are_refused(finished: Any) -> None:
    """Measured often on many targets, two bundles give more pairs than anybody waits for."""
    (row, *_) = side(str(finished.folder))
    rows = [row.model_copy(update={"target": f"t{i}"}) for i in range(101)]
    assert len(pairs(rows[:100], rows[:100])) == 100
    with pytest.raises(InputError, match="10201 pairs of measurements to compare, at most 10000: name one artifact"):
        pairs(rows, rows)


def test_a_bundle_is_not_held_against_itself(edit: Any, earlier: Ledger, finished: Any, variant: Variant) -> None:
    with pytest.raises(InputError, match="nothing to compare with, the ledger has no earlier row of it"):
        check(str(finished.folder), "ledger", PSNR)
    bad = variant("bad", edit.worse("onnx-int8", [0.2, 0.2]))
    earlier.append(bundle_measurements(bad))
    assert check(str(bad), "ledger", PSNR).exit_code == 3, "as `apply` has recorded it before the gate runs"
    assert check(None, "ledger", PSNR).exit_code == 3, "the newest run"


def test_a_run_s_other_targets_are_no_earlier_run(finished: Any, ledger: Ledger) -> None:
    """They have its very quality and size: a first run, and one that got worse on a new CPU, would pass."""
    rows = bundle_measurements(finished.folder)
    timed = next(row for row in rows if row.artifact == "onnx-int8" and row.psnr_db is not None)

    def run(name: str, day: int, **changes: Any) -> list[Measurement]:
        fields = {"run": name, "created": f"2026-11-0{day}T00:00:00+00:00", **changes}
        return [timed.model_copy(update={**fields, "target": target}) for target in ("t1", "t2")]

    ledger.append(run("first", 1))
    with pytest.raises(InputError, match="the ledger has no earlier row of it"):
        check(None, "ledger", PSNR)
    ledger.append(run("worse", 2, psnr_db=timed.psnr_db - 5, pictures=None))
    assert check(None, "ledger", PSNR).exit_code == 3


def test_against_another_bundle(edit: Any, finished: Any, variant: Variant) -> None:
    better = variant("better", edit.worse("onnx-int8", [-1.0, -1.0]))
    assert check(str(better), str(finished.folder), PSNR).exit_code == 0
    assert check(str(finished.folder), str(better), PSNR).exit_code == 3


def test_every_limit(finished: Any, variant: Variant) -> None:
    def change(results: dict[str, Any]) -> None:
        for entry in results["quality"]:
            entry["ssim"] -= 0.02
            entry["lpips"] += 0.02
        for artifact in results["artifacts"]:
            artifact["bytes"] = round(artifact["bytes"] * 1.1)

    limits = {"max_ssim_drop": 0.01, "max_lpips_rise": 0.01, "max_size_growth": 1.05}
    bad, good = str(variant("bad", change)), str(finished.folder)
    for name, value in limits.items():
        assert check(bad, good, Limits(**{name: value})).exit_code == 3, name
        assert check(bad, good, Limits(**{name: value + 0.1})).exit_code == 0, name


@pytest.mark.parametrize(
    ("p50", "cpu", "code"), [(10.5, "a CPU", 0), (12.0, "a CPU", 3), (12.0, "another CPU", None), (None, "", 3)]
)
def test_speed_is_judged_on_one_device(
    edit: Any, p50: float | None, cpu: str, code: int | None, ledger: Ledger, variant: Variant
) -> None:
    """None: nothing there to compare with. No latency now where there was one before is a regression."""
    before = variant("before", lambda results: edit.timed(results, "onnx-int8", 10.0))
    rows = [row.model_copy(update={"created": "2026-01-01T00:00:00+00:00"}) for row in bundle_measurements(before)]
    ledger.append(rows)
    now = str(variant("now", same if p50 is None else lambda results: edit.timed(results, "onnx-int8", p50, cpu)))
    limits = Limits(max_slowdown=1.1)
    if code is None:
        with pytest.raises(InputError, match="nothing to compare with"):
            check(now, "ledger", limits)
        return
    result = check(now, "ledger", limits)
    assert (result.exit_code, [v.artifact for v in result.verdicts]) == (code, ["onnx-int8"])


def test_a_slowdown_on_a_busy_machine_says_so(edit: Any, variant: Variant) -> None:
    def busy(results: dict[str, Any]) -> None:
        edit.timed(results, "onnx-int8", 12.0)
        results["performance"][-1]["machine"]["busy"] = [{"name": "chrome", "cores": 1.3}]

    before, now = variant("before", lambda results: edit.timed(results, "onnx-int8", 10.0)), variant("now", busy)
    result = check(str(now), str(before), Limits(max_slowdown=1.1))
    assert result.exit_code == 3 and "idle" in str(result.to_json()["checks"][0]["reason"])
    assert "REGRESSION (busy machine)" in markdown_summary(result)
    assert "timed on a busy machine: measure again on an idle one" in junit_xml(result)


def test_a_gate_without_limits(finished: Any) -> None:
    with pytest.raises(InputError, match=r"no limit to check: give one or more, for instance --max-psnr-drop 0\.05"):
        check(str(finished.folder), "ledger", Limits())


def test_the_command_and_what_it_writes(edit: Any, earlier: Ledger, variant: Variant, tmp_path: Path) -> None:
    bad = variant("bad", edit.worse("onnx-int8", [0.2, 0.03]))
    files = ["--junit", str(tmp_path / "out/junit.xml"), "--markdown", str(tmp_path / "out/summary.md")]
    done = CliRunner().invoke(app, ["check", str(bad), "--against", "ledger", "--max-psnr-drop", "0.05", *files])
    assert done.exit_code == 3
    # A long folder is folded.
    assert " ".join(done.stdout.split()).endswith(f"1 regression in 5 checks of {bad} against ledger")
    suite = ElementTree.parse(tmp_path / "out/junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), len(suite.findall("testcase"))) == ("5", "1", 5)
    (failed,) = [case for case in suite if case.find("failure") is not None]
    assert (failed.get("classname"), failed.get("name")) == ("onnx-int8", "max_psnr_drop · validation")
    assert "0.115, at most 0.05 is allowed" in str(failed.find("failure").get("message"))  # type: ignore[union-attr]
    text = (tmp_path / "out/summary.md").read_text()
    assert text.startswith("### 1 regression in 5 checks")
    assert text.count("| met |") == 4 and text.count("| REGRESSION |") == 1
