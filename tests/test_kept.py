"""What earlier releases wrote opens in this one: bundles and ledgers kept in tests/kept, one archive a release.

An archive holds the tiny model's ``bundle/`` (OpenVINO, int8) and ``ledger.sqlite``, as that release wrote them.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import URL

from compress.bundle.open import open_bundle
from compress.bundle.verify import verify
from compress.ledger.place import DRIVERS
from compress.ledger.record import bundle_measurements
from compress.ledger.report import report
from compress.ledger.store import Ledger
from compress.progress import Progress
from compress.restore.open import Settings, open_restorer
from compress.results.file import read_results

KEPT = sorted((Path(__file__).parent / "kept").glob("release_*.zip"))


@pytest.fixture(params=KEPT, ids=lambda path: path.stem)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A release's archive, unpacked."""
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_a_release_is_kept() -> None:
    assert KEPT and all(path.stat().st_size < 300_000 for path in KEPT)


def test_its_bundle_verifies(kept: Path) -> None:
    assert open_bundle(kept / "bundle").changed_files() == []
    (parity,) = verify(kept / "bundle", Progress("silent")).parity
    assert parity.artifact == "openvino-int8" and parity.psnr_db >= 30


def test_its_bundle_restores(kept: Path, photo: np.ndarray) -> None:
    restorer = open_restorer(str(kept / "bundle"), Settings(overlap=32))
    assert restorer.scale == 4
    assert restorer.restore(photo[:16, :24], lambda: None).shape == (64, 96, 3)


def test_its_results_are_rows_and_a_page(kept: Path) -> None:
    from compress.ledger import Filter

    rows = bundle_measurements(kept / "bundle")
    assert [row.artifact for row in rows] == ["openvino-int8"]
    assert report([kept / "bundle"], Filter(), 50, kept / "page.html").bundles == 1


def test_its_ledger_opens_and_knows_its_bundle(kept: Path) -> None:
    ledger = Ledger(URL.create(DRIVERS["sqlite"], database=str(kept / "ledger.sqlite")))
    (row,) = ledger.rows(pictures=True)
    assert (row.artifact, row.run) == ("openvino-int8", read_results(kept / "bundle").run)
    assert len(row.pictures) == 1


RUNTIME_ONLY = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in sys.stdlib_module_names | PRESENT and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
PRESENT = set(sys.argv[2].split(","))
sys.meta_path.insert(0, Absent())
from compress.cli.commands import app
app(["verify", sys.argv[1]], prog_name="compress")
"""
# openvino alone, and what the command line itself is made of.
PRESENT = "compress,openvino,numpy,PIL,pydantic,pydantic_core,typer,click,rich,yaml,shellingham,typing_extensions"
PRESENT += ",psutil,annotated_types,annotated_doc,typing_inspection,markdown_it,mdurl,pygments,packaging,_yaml"


def verified(bundle: Path, present: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", RUNTIME_ONLY, str(bundle), present]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_runtime_is_all_that_verify_needs(kept: Path) -> None:
    done = verified(kept / "bundle", PRESENT)
    assert done.returncode == 0, done.stderr
    assert "openvino-int8" in done.stdout


def test_without_the_runtime_verify_says_what_to_install(kept: Path) -> None:
    done = verified(kept / "bundle", PRESENT.replace("openvino,", ""))
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].endswith("install it, pip install openvino")


def test_an_altered_file_is_told(kept: Path) -> None:
    shutil.copy(kept / "bundle/samples/validation0_clean.png", kept / "bundle/samples/validation0_degraded.png")
    done = verified(kept / "bundle", PRESENT)
    assert done.returncode == 5
    assert done.stderr.endswith("samples/validation0_degraded.png: differs from its hash in the manifest\n")
