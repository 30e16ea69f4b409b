"""The ledger to a real MLflow tracking server, which the test starts."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from compress.cli.commands import app
from compress.ledger import open_ledger
from compress.ledger.to_mlflow import send
from compress.progress import Progress
from compress.results.measurement import DETAILS

START_S = 120


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of an MLflow server with its artifacts. Fails, saying what is missing, where it cannot run."""
    missing = [name for name in ("mlflow", "flask", "flask_cors", "graphene", "aiohttp") if find_spec(name) is None]
    if missing:
        pytest.fail(f"MLflow's server needs {', '.join(missing)}: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    stores = [f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}", f"--artifacts-destination={folder / 'files'}"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        started = subprocess.Popen(
            [*command, *stores], cwd=folder, stdout=log, stderr=log, env=os.environ | settings, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", started, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(started.pid, 15)
        started.wait(20)


def _wait(url: str, started: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert started.poll() is None and time.monotonic() < ends, log.read_text()
            time.sleep(0.3)


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["ledger", *map(str, args)])


def runs(uri: str, experiment: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    result = client.get_experiment_by_name(experiment)
    return list(client.search_runs([result.experiment_id])) if result else []


def test_runs_params_metrics_and_artifacts(server: str, finished: Any, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    run("import", finished.folder)
    rows = {row.id: row for row in open_ledger().rows(pictures=True)}
    args = ("export", "--to", "mlflow", "--uri", server, "--experiment", "team")
    assert run(*args).stdout == f"{server}, experiment team: {len(rows)} runs sent, 0 were there\n"
    client = MlflowClient(tracking_uri=server)
    result = {r.data.tags["elir-compress.row"]: r for r in runs(server, "team")}
    assert result.keys() == rows.keys()
    for id, row in rows.items():
        data = result[id].data
        message = {**data.params, **data.metrics}
        wanted = {k: v for k, v in row.to_json().items() if v is not None and k not in (*DETAILS, "id", "bundle")}
        assert message.keys() == wanted.keys()
        assert all(message[k] == (v if k in data.metrics else str(v)) for k, v in wanted.items())
        assert data.metrics["psnr_db"] == row.psnr_db and data.params["artifact"] == row.artifact
        assert result[id].info.status == "FINISHED" and result[id].info.start_time // 1000 > 1_700_000_000
        local = client.download_artifacts(result[id].info.run_id, "row.json", str(tmp_path))
        assert json.loads(Path(local).read_text()) == row.to_json()
    # Again, and from another ledger with the same rows: no duplicate.
    assert run(*args).stdout.endswith(f"0 runs sent, {len(rows)} were there\n")
    assert len(runs(server, "team")) == len(rows)


def test_the_artifacts_files_and_one_cut_short(server: str, bundle: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    run("import", bundle)
    rows = open_ledger().rows(pictures=True)
    quiet = Progress("silent")
    send(rows, server, "files", quiet, files=False)
    client = MlflowClient(tracking_uri=server)
    int8 = next(r for r in runs(server, "files") if r.data.params["artifact"] == "openvino-int8")
    client.update_run(int8.info.run_id, "RUNNING")  # as one that was killed
    again = send(rows, server, "files", quiet, files=False)
    assert (again.rows, again.there) == (1, len(rows) - 1)
    (bundle / "int8/onnx/model.onnx").write_bytes(b"other")
    sent = send(rows, server, "files", quiet, files=True)
    assert (sent.rows, sent.there, sent.bare) == (len(rows) - 1, 1, 1)
    assert str(sent).endswith("; 1 without files, which are not here")
    assert {f.path for f in client.list_artifacts(int8.info.run_id, "openvino")} == {
        "openvino/model.xml",
        "openvino/model.bin",
    }
    local = client.download_artifacts(int8.info.run_id, "openvino/model.bin", str(tmp_path))
    assert Path(local).read_bytes() == (bundle / "int8/openvino/model.bin").read_bytes()
    assert len(runs(server, "files")) == len(rows)


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["export"], 2, "export: give a FILE, or --to mlflow"),
        (["export", "x.csv", "--to", "mlflow"], 2, "export: give a FILE, or --to mlflow"),
        (["export", "--to", "mlflow"], 2, "MLflow: no server: give --uri http://host:5000, or set MLFLOW_TRACKING_URI"),
        (["export", "--to", "mlflow", "--uri", "./mlruns"], 2, "MLflow: ./mlruns is not a tracking server"),
        (
            ["export", "--to", "mlflow", "--uri", "http://me:s3cret@127.0.0.1:9"],
            4,
            "MLflow http://127.0.0.1:9: refused or out of reach (",
        ),
    ],
)
def test_mistakes_are_one_line(args: list[str], code: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = run(*args)
    last = done.stderr.splitlines()[-1]
    assert (done.exit_code, done.stdout) == (code, "")
    assert last.startswith(text) and "s3cret" not in done.stderr and "Traceback" not in done.stderr
