"""Made-up measurements, and a ledger of the test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.ledger import Ledger, open_ledger
from compress.results.measurement import Measurement

Make = Callable[..., Measurement]


@pytest.fixture()
def make() -> Make:
    """(changed fields) -> Measurement."""

    def measurement(**changes: Any) -> Measurement:
        fields = {
            "created": "2026-11-23T12:00:00+00:00",
            "run": "run0",
            "command": "apply",
            "recipe": "int8_sr",
            "task": "sr_x4",
            "artifact": "onnx-int8",
            "format": "onnx",
            "precision": "int8",
            "image_size": 64,
            "evidence": "measured",
            "bytes": 1000,
            "psnr_db": 24.1,
            **{f"{name}_sha256": "ab" * 32 for name in ("artifact", "files", "weights", "recipe")},
            "versions": {"torch": "2.13"},
            "machine": {"cpu": "x"},
            "pictures": [{"name": "a.png", "psnr_db": 24.1}],
        }
        return Measurement.model_validate(fields | changes)

    return measurement


@pytest.fixture()
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty SQLite ledger, the one that commands find too."""
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    return open_ledger()
