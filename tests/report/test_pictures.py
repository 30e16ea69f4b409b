import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.errors import VerificationError
from compress.report import pictures, write_report
from compress.report.pictures import gallery, unlisted
from compress.results.document import Results

PRECISIONS = {
    "artifacts": [
        {"id": f"onnx-{name}", "format": "onnx", "precision": name, "entry": f"{name}/onnx/model.onnx"}
        for name in ("fp16", "int8")
    ]
}


def _bundle(folder: Path, side: int, count: int = 1) -> Results:
    """Samples of noise, which no coder makes small."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(count):
        names = {key: f"{i}_{key}.png" for key in ("degraded", "onnx-fp16", "onnx-int8", "clean")}
        for name in names.values():
            Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(folder / name)
        outputs = {key: names[key] for key in ("onnx-fp16", "onnx-int8")}
        samples.append({"name": f"s{i}", "degraded": names["degraded"], "clean": names["clean"], "outputs": outputs})
    return Results.model_validate({**PRECISIONS, "schema_version": 1, "name": "large", "samples": samples})


def _decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


def _labels(shown: pictures.Gallery) -> list[str]:
    return [picture.label for picture in shown.samples[0].pictures]


def test_few_bytes_stay_png(tmp_path: Path) -> None:
    shown = gallery(unlisted(tmp_path), _bundle(tmp_path, 32))
    assert all(picture.uri.startswith("data:image/png;base64,") for picture in shown.samples[0].pictures)
    assert _labels(shown) == ["degraded", "onnx-fp16", "onnx-int8", "clean"]


def test_more_bytes_become_webp_of_equal_pixels(tmp_path: Path) -> None:
    shown = gallery(unlisted(tmp_path), _bundle(tmp_path, 200))
    assert shown.lossless
    for picture in shown.samples[0].pictures:
        assert picture.uri.startswith("data:image/webp") and picture.size == (200, 200)
        assert np.array_equal(_decoded(picture.uri), np.asarray(Image.open(io.BytesIO(picture.data))))


def test_fp16_goes_first_when_the_page_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = _bundle(tmp_path, 200)
    monkeypatch.setattr(pictures, "PAGE_BYTES", 560_000)
    shown = gallery(unlisted(tmp_path), results)
    assert shown.lossless and _labels(shown) == ["degraded", "onnx-int8", "clean"]
    assert "onnx-fp16 left out to keep the page small" in shown.note


def test_loss_is_the_last_resort_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = _bundle(tmp_path, 200, count=3)
    monkeypatch.setattr(pictures, "PAGE_BYTES", 400_000)
    shown = gallery(unlisted(tmp_path), results)
    assert not shown.lossless and 1 <= len(shown.samples) < 3
    assert "WebP of quality 90" in shown.note and "of 3 samples shown" in shown.note
    assert sum(len(p.uri) for s in shown.samples for p in s.pictures) <= 400_000


def test_page_with_many_large_samples_stays_under_6_mb(tmp_path: Path) -> None:
    results = _bundle(tmp_path, 512, count=4)
    (tmp_path / "results.json").write_text(json.dumps(results.to_json()))
    assert write_report(tmp_path).stat().st_size < 6_000_000


@pytest.mark.parametrize(
    "name", ["../outside.png", "/etc/hostname", "missing.png", "text.png", "empty.png", "script.png"]
)
def test_pictures_that_are_none_or_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.png")
    (bundle / "text.png").write_text("no picture")
    (bundle / "empty.png").touch()
    (bundle / "script.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n")
    results = {"schema_version": 1, "samples": [{"name": "s", "degraded": name, "clean": name, "outputs": {}}]}
    with pytest.raises(VerificationError, match=r"run apply again|replace or remove it") as raised:
        gallery(unlisted(bundle), Results.model_validate(results))
    assert name in str(raised.value) and "\n" not in str(raised.value)
