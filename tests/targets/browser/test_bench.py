"""ONNX artifacts in a real headless Chromium, against ONNX Runtime on the same inputs."""

from pathlib import Path
from typing import Any

import pytest

from compress.pipeline.bench import bench
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.validation import load_model


@pytest.mark.needs("chromium")
@pytest.mark.usefixtures("web_runtime")
def test_int8_runs_in_the_browser(finished: Any) -> None:
    done = bench(finished.folder, "web-wasm", Progress("silent"))
    entries = {entry.artifact: entry.to_json() for entry in done.performance}
    assert set(entries) == {"onnx-fp32", "onnx-int8"} and done.exit_code == 0
    for entry in entries.values():
        assert (entry["target"], entry["evidence"], entry["protocol"]) == ("web-wasm", "measured", "quick")
        latency = entry["latency_ms"]
        assert latency["n"] >= 5 and latency["warmup"] >= 1 and latency["p50"] > 0
        assert entry["load_ms"] > 0 and entry["first_inference_ms"] > 0 and entry["peak_rss_mb"] is None
        assert entry["runtime"]["onnxruntime-web"] == "1.30.0" and entry["runtime"]["browser"].startswith("Chrome/")
        assert entry["runtime"]["wasm_memory_mb"] > 1
        assert entry["accuracy"]["n"] == 2
    fp32, int8 = (entries[name]["accuracy"] for name in ("onnx-fp32", "onnx-int8"))
    assert fp32["parity_float_db"] > 90 and fp32["largest_difference"] < 1e-3 and fp32["fidelity_db"] is None
    # A rounding that falls to the other side moves what follows: as far off as int8 is anyway, not farther.
    assert int8["parity_float_db"] > int8["fidelity_db"] - 3 > 20
    assert entries["onnx-int8"]["speedup_vs"]["fp32"]["value"] > 0 and fp32["psnr_db"] > 3


@pytest.mark.needs("chromium")
@pytest.mark.usefixtures("web_runtime")
def test_pictures_of_8_bits_in_the_browser(picture_bundle: Path) -> None:
    done = bench(picture_bundle, "web-wasm", Progress("silent"))
    accuracy = {entry.artifact: entry.to_json()["accuracy"] for entry in done.performance}
    assert done.exit_code == 0 and accuracy["onnx-fp32"]["n"] == 2
    assert accuracy["onnx-fp32"]["parity_db"] > 75 and accuracy["onnx-fp32"]["largest_difference"] <= 0.004
    assert accuracy["onnx-int8"]["parity_db"] > accuracy["onnx-int8"]["fidelity_db"] - 3 > 20


def test_a_browser_that_is_not_here(finished: Any, tmp_path: Path) -> None:
    text = find("targets", "web-wasm").read_text()
    (tmp_path / "web.yaml").write_text(text.replace("browser: {}", "browser: {program: chromium-nightly}"))
    done = bench(finished.folder, str(tmp_path / "web.yaml"), Progress("silent"))
    assert done.exit_code == 4
    assert done.why == "browser: chromium-nightly is not installed: install one (Debian: apt-get install chromium)"
    assert {entry.evidence for entry in done.performance} == {"unavailable"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("reach: browser\nbrowser: {}\n", "reach: local\n"), "onnxruntime-web and reach browser belong together"),
        (("browser: {}\n", ""), "browser is missing: add it, since reach is browser"),
    ],
)
def test_a_wrong_target(tmp_path: Path, change: tuple[str, str], text: str) -> None:
    from compress.errors import InputError

    (tmp_path / "web.yaml").write_text(find("targets", "web-wasm").read_text().replace(*change))
    with pytest.raises(InputError, match=text):
        load_model(DeployTarget, tmp_path / "web.yaml")
