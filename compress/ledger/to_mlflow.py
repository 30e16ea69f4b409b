"""Rows to an MLflow tracking server: one run a row; a row that is there already is not sent again."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from compress.bundle.open import open_bundle
from compress.errors import CompressError, InputError, Unavailable
from compress.files import sha256_file
from compress.ledger.from_bundle import together
from compress.quiet import quiet
from compress.results.measurement import DETAILS, Row
from compress.text import install_extra, one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from compress.progress import Progress

PREFIX = "elir-compress"
ROW, FILES = f"{PREFIX}.row", f"{PREFIX}.files"
"""Tags: the row's id; the hash of the artifact's files, where they were sent too."""
PARAMS = ("image_size", "k_steps", "threads")
"""Whole numbers that are settings, not measurements."""
PAGE, MOST_PAGES = 1000, 1000
MOST_ANSWER = 64 << 20
"""Bytes: a page of runs takes 2 MB."""
STORES = ("mlflow-artifacts", "http", "https", "s3", "gs", "wasbs", "abfss")
"""Where a server may have files sent. It is a stranger, and a path would be one of this machine: files are written."""
FINISHED = "FINISHED"
# Nothing is sent to anybody else; a server that does not answer is reported in seconds, not in minutes.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # it may ask for a day
}
VARIABLE = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True)
class SendResult:
    """``bare``: rows whose artifact's files were asked for and are not on this machine any more."""

    place: str
    experiment: str
    rows: int
    there: int
    bare: int = 0

    def __str__(self) -> str:
        text = f"{self.place}, experiment {self.experiment}: {self.rows} runs sent, {self.there} were there"
        return f"{text}; {self.bare} without files, which are not here" if self.bare else text


def send(rows: Sequence[Row], uri: str | None, experiment: str, progress: "Progress", *, files: bool) -> SendResult:
    """Send ``rows``, with pictures, as runs of ``experiment``; ``files``: each artifact's own files too.

    ``uri``: http(s)://..., ``MLFLOW_TRACKING_URI`` where it is None. A run that was cut short is taken up again.
    Raises InputError for another URI, Unavailable without MLflow or its server.
    """
    uri = _checked(uri or os.environ.get(VARIABLE))
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with _told(uri), progress.stage("send to MLflow", total=len(rows)) as stage:
        client = _client(uri)
        place = _experiment(client, experiment)
        known = {run.data.tags.get(ROW): run for run in _runs(client, place)}
        sent = bare = 0
        for row in rows:
            paths = _files(row) if files else []
            bare += files and not paths
            if not _whole(known.get(row.id), row, paths):
                _send(client, place, known.get(row.id), row, paths)
                sent += 1
            stage.advance()
    return SendResult(_shown(uri), experiment, sent, len(rows) - sent, bare)


def _checked(uri: str | None) -> str:
    if not uri:
        raise InputError(f"MLflow: no server: give --uri http://host:5000, or set {VARIABLE}")
    if not uri.startswith(("http://", "https://")) or not urlsplit(uri).hostname:
        raise InputError(f"MLflow: {_shown(uri)} is not a tracking server: give http://host:5000 or https://...")
    return uri.rstrip("/")


def _shown(uri: str) -> str:
    """Without user and password."""
    return uri.replace(f"{urlsplit(uri).netloc.rpartition('@')[0]}@", "")


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """MLflow's errors as one line."""
    try:
        import mlflow  # noqa: F401
    except ImportError as error:
        raise Unavailable(
            f"MLflow cannot be imported ({error}): {install_extra('mlflow')}; the package mlflow does as well"
        ) from None
    from requests import ConnectionError, Timeout

    try:
        with quiet(), _bounded_answers():  # MLflow logs a server's words as they are
            yield
    except CompressError as error:
        raise type(error)(f"MLflow {_shown(uri)}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # of MLflow, requests, protobuf, and of every class that is made of an answer
        silent = any(isinstance(cause, ConnectionError | Timeout) for cause in _causes(error))
        why = "no connection" if silent else " ".join(str(error).split())[:200].replace(uri, _shown(uri))
        raise Unavailable(f"MLflow {_shown(uri)}: refused or out of reach ({why}): see that it runs there") from None


@contextmanager
def _bounded_answers() -> Iterator[None]:
    """An answer of more than ``MOST_ANSWER`` bytes is an error."""
    from requests import RequestException
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def bounded(*given: Any, **named: Any) -> Any:
        answer = send(*given, **named)
        stream = answer.raw.stream

        def counted(*given: Any, **named: Any) -> Iterator[bytes]:
            size = 0
            for chunk in stream(*given, **named):
                size += len(chunk)
                if size > MOST_ANSWER:
                    raise RequestException(f"an answer of more than {MOST_ANSWER >> 20} MB")
                yield chunk

        answer.raw.stream = counted
        return answer

    HTTPAdapter.send = bounded  # type: ignore[method-assign]
    try:
        yield
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _client(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _experiment(client: "MlflowClient", name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    return str(experiment.experiment_id if experiment else client.create_experiment(name))


def _runs(client: "MlflowClient", experiment: str) -> "Iterator[Run]":
    """Every run of ours."""
    token, wanted = None, f"tags.`{ROW}` != ''"
    for _ in range(MOST_PAGES):
        page = client.search_runs([experiment], wanted, max_results=PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return
    raise Unavailable(f"lists runs without end, more than {MOST_PAGES * PAGE}: see that it is a tracking server")


def _whole(run: "Run | None", row: Row, paths: Sequence[Path]) -> bool:
    if run is None or run.info.status != FINISHED:
        return False
    return not paths or run.data.tags.get(FILES) == row.files_sha256


def _send(client: "MlflowClient", experiment: str, run: "Run | None", row: Row, paths: Sequence[Path]) -> None:
    """Every write may be repeated: the same value of the same moment is one value."""
    from mlflow.entities import Metric, Param, RunTag

    created = round(datetime.fromisoformat(row.created).timestamp() * 1000)
    name = " ".join(filter(None, (row.recipe, row.artifact, row.target, row.dataset)))
    tags = {ROW: row.id, f"{PREFIX}.run": row.run, "mlflow.source.name": "compress ledger export"}
    run = run or client.create_run(experiment, created, tags, name)
    id, place = run.info.run_id, str(run.info.artifact_uri)
    if not place.startswith(tuple(f"{store}:" for store in STORES)):
        raise Unavailable(
            f"has files written to {one_line(place)}, which is on this machine: start it with `--serve-artifacts`"
        )
    params, metrics = _split(row)
    client.log_batch(
        id,
        metrics=[Metric(key, value, created, 0) for key, value in metrics.items()],
        params=[Param(key, value) for key, value in params.items()],
    )
    client.log_text(id, json.dumps(row.to_json(), indent=1) + "\n", "row.json")
    for path in paths:
        client.log_artifact(id, str(path), path.parent.name)
    if paths:
        client.log_batch(id, tags=[RunTag(FILES, row.files_sha256)])
    client.set_terminated(id, FINISHED, created)


def _split(row: Row) -> tuple[dict[str, str], dict[str, float]]:
    """(params, metrics) of what is known."""
    known = row.model_dump(exclude={*DETAILS, "id", "bundle"}, exclude_none=True)
    metrics = {k: float(v) for k, v in known.items() if isinstance(v, int | float) and k not in PARAMS}
    return {key: str(value) for key, value in known.items() if key not in metrics}, metrics


def _files(row: Row) -> list[Path]:
    """The artifact's files, where its bundle is on this machine and still holds those very ones."""
    if not row.bundle:
        return []
    folder = Path(row.bundle)
    try:
        bundle = open_bundle(folder)
        artifact = next(a for a in bundle.results().artifacts if a.id == row.artifact)
        held = [path for path in artifact.files if path in bundle.listed and (folder / path).is_file()]
        same = together({path: sha256_file(folder / path) for path in held}) == row.files_sha256
    except (CompressError, OSError, StopIteration):  # a row may name any place of another machine, in any length
        return []
    return [folder / path for path in held] if same else []
