"""Bundles, artifacts and rows against each other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from compress.cli.commands import app
from compress.errors import InputError
from compress.ledger import Ledger
from compress.ledger.compare.change import Change
from compress.ledger.compare.measures import compare, compared
from compress.ledger.compare.sides import Pair, side
from compress.ledger.record import bundle_measurements
from compress.results.measurement import Row

Variant = Callable[..., Path]


def test_two_bundles_by_artifact(edit: Any, finished: Any, variant: Variant) -> None:
    def change(results: dict[str, Any]) -> None:
        edit.worse("onnx-int8", [0.3, 0.1])(results)

    other = variant("later", change)
    result = compare(str(finished.folder), str(other)).to_json()
    assert len(result["comparisons"]) == 5
    by_artifact = {c["b"]["artifact"]: c for c in result["comparisons"]}
    psnr = next(m for m in by_artifact["onnx-int8"]["measures"] if m["measure"] == "psnr_db")
    assert psnr["difference"] == pytest.approx(-0.2, abs=1e-6)
    assert -0.3 - 1e-6 <= psnr["interval"]["low"] <= psnr["interval"]["high"] <= -0.1 + 1e-6
    assert psnr["interval"]["includes_0"] is False
    assert by_artifact["onnx-int8"]["verdict"].startswith("B is as large, 0.20 dB worse (interval excludes 0)")
    changed = by_artifact["onnx-int8"]["most_changed"]
    assert [(p["picture"], p["difference"]) for p in changed] == [("validation0", -0.3), ("validation1", -0.1)]
    assert by_artifact["onnx-fp32"]["verdict"] == "B is as large, equal in PSNR, equal in LPIPS"


def test_five_pictures_are_named(edit: Any, variant: Variant) -> None:
    def many(results: dict[str, Any]) -> None:
        for entry in results["quality"]:
            entry["pictures"] = [{**entry["pictures"][0], "name": f"{i}.png"} for i in range(9)]

    def lower(results: dict[str, Any]) -> None:
        many(results)
        for i, picture in enumerate(edit.quality(results, "onnx-int8")["pictures"]):
            picture["psnr_db"] += i * (-1) ** i

    result = compare(str(variant("a", many)), str(variant("b", lower)) + "/int8/onnx/model.onnx")
    (compared,) = result.compared
    assert [p.picture for p in compared.pictures] == ["8.png", "7.png", "6.png", "5.png", "4.png"]


def test_two_artifacts_of_one_bundle(finished: Any) -> None:
    fp32, int8 = (str(finished.folder / name) for name in ("fp32/onnx/model.onnx", "int8/openvino/model.xml"))
    (result,) = compare(fp32, int8).compared
    assert (result.pair.a.artifact, result.pair.b.artifact) == ("onnx-fp32", "openvino-int8")
    change = result.change("psnr_db")
    assert change is not None and change.difference is not None and change.difference.low is not None
    assert "x smaller" in result.verdict


def test_rows_of_the_ledger_and_another_device(edit: Any, ledger: Ledger, finished: Any, variant: Variant) -> None:
    def here(results: dict[str, Any]) -> None:
        edit.timed(results, "onnx-int8", 10.0)

    def there(results: dict[str, Any]) -> None:
        edit.timed(results, "onnx-int8", 5.0, "another CPU")
        results["performance"][-1]["machine"]["busy"] = [{"name": "chrome", "cores": 1.3}]

    rows = [r for f in (variant("a", here), variant("b", there)) for r in bundle_measurements(f)]
    ledger.append(rows)
    a, b = (row.id for row in rows if row.target)
    (result,) = compare(a[:10], b).compared
    assert result.verdict == "B is 2.00x faster, as large, equal in PSNR, equal in LPIPS"
    assert result.notes == [
        "cpu differs: a CPU and another CPU",
        "B was measured while other processes took 1.3 cores (chrome): measure again on an idle machine",
    ]


def test_what_cannot_be_compared(finished: Any, variant: Variant, ledger: Ledger, tmp_path: Path) -> None:
    def other_pictures(results: dict[str, Any]) -> None:
        for entry in results["quality"]:
            entry["dataset"] = "unknown"

    (tmp_path / "alone.onnx").write_bytes(b"x")
    bundle = str(finished.folder)
    for other, message in (
        (str(variant("b", other_pictures)), "nothing to compare: A holds "),
        (str(tmp_path / "alone.onnx"), "lies in no bundle"),
        (f"{bundle}/results.json", "is not an artifact of"),
        ("nowhere/x", "no such bundle or artifact"),
        ("abcdef", "no such row: see `compress ledger ls`"),
        (str(tmp_path), "not a bundle"),
    ):
        with pytest.raises(InputError) as error:
            compare(bundle, other)
        assert message in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("command", [["compare"], ["ledger", "compare"]])
def test_the_command(finished: Any, command: list[str]) -> None:
    bundle = str(finished.folder)
    done = CliRunner().invoke(app, [*command, bundle, bundle, "--json"])
    assert done.exit_code == 0 and len(json.loads(done.stdout)["comparisons"]) == 5
    done = CliRunner().invoke(app, [*command, bundle, bundle])
    assert done.stdout.count("B is as large, equal in PSNR, equal in LPIPS") == 5
    assert "validation0" in done.stdout


def test_ratios_beyond_numbers_are_left_out() -> None:
    """JSON has no infinity."""
    assert Change("psnr_db", 1e-310, 30.0).to_json()["ratio"] is None
    assert Change("bytes", 0, 5).to_json()["ratio"] is None
    assert Change("bytes", 4, 6).to_json()["ratio"] == 1.5


def test_latencies_are_those_of_clocks(finished: Any) -> None:
    """With others, a ratio could be 0 or infinite."""
    (row, *_) = side(str(finished.folder))

    def timed(ms: float) -> Row:
        return Row.model_validate(row.model_dump() | {"latency_p50_ms": ms})

    with pytest.raises(ValidationError):
        timed(5e-324)
    fast, slow = timed(1e-6), timed(1e12)
    for pair in (Pair(fast, slow), Pair(slow, fast)):
        assert "x slower" in compared(pair).verdict or "x faster" in compared(pair).verdict
