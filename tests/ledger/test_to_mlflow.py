"""The ledger to a real MLflow tracking server, which the test starts."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner, Result

from compress.cli.commands import app
from compress.ledger import open_ledger, to_mlflow
from compress.ledger.to_mlflow import send
from compress.progress import Progress
from compress.results.measurement import DETAILS
from tests.ledger.conftest import Make

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


# --- a server that is no MLflow, or a hostile one --------------------------------------------------------------

RUN_ID = "a" * 32


def told_run(place: str, *, tagged: bool = True) -> dict[str, Any]:
    info = {"run_id": RUN_ID, "run_uuid": RUN_ID, "experiment_id": "1", "status": "RUNNING", "artifact_uri": place}
    return {"info": info, "data": {"tags": [{"key": "elir-compress.row", "value": "x"}] if tagged else []}}


class Hostile(BaseHTTPRequestHandler):
    """Answers of a server: ``answers`` by a word in the path, (code, headers, body); or a body without an end."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict[str, Any]] = {}

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = next((body for word, body in self.answers.items() if word in self.path), {})
        code, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(data)
            while "Content-Length" in headers and len(headers["Content-Length"]) > 12:
                self.wfile.write(b" " * 2**16)

    do_GET = do_PUT = do_PATCH = do_POST

    def log_message(self, format: str, *args: object) -> None:
        pass


def hostile(place: str) -> dict[str, dict[str, Any]]:
    """Every server's answers, by what is wrong with it."""
    usual = {
        "get-by-name": {"experiment": {"experiment_id": "1", "name": "x", "artifact_location": place}},
        "runs/search": {"runs": []},
        "runs/create": {"run": told_run(place)},
        "runs/get": {"run": told_run(place)},
    }
    return {
        "text": {"": b"hello"},
        "depth": {"": b"[" * 10**5},
        "types": {"": {"experiment": [1], "runs": 5, "run": "x"}},
        "codes": {"": (400, {}, {"error_code": [1], "message": {"a": 1}})},
        "words": {"": (400, {}, {"error_code": "X\x1b[2J", "message": "\x1b[2J\nforged: 9 runs sent"})},
        "patience": {"": (429, {"Retry-After": "86400"}, {})},
        "pages": usual | {"runs/search": {"runs": [], "next_page_token": "again"}},
        "no tags": usual | {"runs/search": {"runs": [told_run(place, tagged=False)]}} | {"runs/create": {}},
        "no data": usual | {"runs/search": {"runs": [{"info": {}}]}} | {"runs/create": {}},
        "no end": {"": (200, {"Content-Length": str(10**13)}, b" ")},
        "a path": usual,
        "a file": usual | {"runs/create": {"run": told_run(f"file://{place}")}},
    }


@pytest.mark.parametrize("kind", hostile("x"))
def test_a_hostile_server_is_one_line(
    kind: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written where it says, nothing printed that a terminal obeys, and no answer is waited for for ever."""
    monkeypatch.setattr(to_mlflow, "MOST_PAGES", 3)
    monkeypatch.setattr(to_mlflow, "MOST_ANSWER", 2**20)
    for name in to_mlflow.SETTINGS:
        monkeypatch.setenv(name, to_mlflow.SETTINGS[name])
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(Hostile, "answers", hostile(str(tmp_path / "out"))[kind])
    open_ledger().append([make()])
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as served:
        served.daemon_threads = True
        threading.Thread(target=served.serve_forever, daemon=True).start()
        done = run("export", "--to", "mlflow", "--uri", f"http://127.0.0.1:{served.server_port}")
        served.shutdown()
    said = done.output + "".join(capfd.readouterr())
    assert done.exit_code == 4, said
    assert done.stderr.splitlines()[-1].startswith(f"MLflow http://127.0.0.1:{served.server_port}: "), said
    assert all(c.isprintable() or c == "\n" for c in said) and "\nforged" not in said
    assert not (tmp_path / "out").exists()
