"""Two small bundles, the second with changed figures, and a ledger of the test's own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compress.files import sha256_file
from compress.ledger import Ledger, open_ledger

Change = Callable[[dict[str, Any]], None]


@pytest.fixture()
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty ledger, the one that commands find too."""
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    return open_ledger()


@pytest.fixture()
def variant(finished: Any, tmp_path: Path) -> Callable[[str, Change], Path]:
    """(name, change of its results) -> a bundle as a later run would have left it."""

    def make(name: str, change: Change) -> Path:
        folder = Path(shutil.copytree(finished.folder, tmp_path / name))
        results = json.loads((folder / "results.json").read_text())
        results |= {"run": name, "created": "2999-01-01T00:00:00+00:00"}
        change(results)
        (folder / "results.json").write_text(json.dumps(results))
        manifest = json.loads((folder / "manifest.json").read_text())
        for entry in manifest["files"]:
            if entry["path"] == "results.json":
                path = folder / "results.json"
                entry |= {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


@pytest.fixture()
def edit() -> SimpleNamespace:
    """How tests change results: ``quality``, ``timed``, ``worse``."""
    return SimpleNamespace(quality=quality, timed=timed, worse=worse)


def quality(results: dict[str, Any], artifact: str) -> dict[str, Any]:
    """The entry of one artifact."""
    return next(entry for entry in results["quality"] if entry["artifact"] == artifact)


def timed(results: dict[str, Any], artifact: str, p50: float, cpu: str = "a CPU") -> None:
    """Add a latency."""
    results["performance"].append(
        {
            "artifact": artifact,
            "target": "x86-onnxruntime",
            "evidence": "measured",
            "latency_ms": {"p50": p50, "p90": None, "mean": p50, "n": 20, "warmup": 6},
            "speedup_vs": {"fp32": None, "best_float": None},
            "threads": 2,
            "protocol": "quick",
            "machine": {"cpu": cpu},
        }
    )


def worse(artifact: str, drops: list[float]) -> Change:
    """Lower each picture's PSNR by so much, and the mean with them."""

    def change(results: dict[str, Any]) -> None:
        entry = quality(results, artifact)
        for picture, drop in zip(entry["pictures"], drops, strict=True):
            picture["psnr_db"] -= drop
        entry["psnr_db"] -= sum(drops) / len(drops)

    return change
