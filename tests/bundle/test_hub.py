"""Bundles and checkpoints on the Hub, against a server of our own that speaks its API."""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from compress.bundle.hub import local, push
from compress.bundle.manifest import MOST_BYTES
from compress.bundle.model_card import model_card
from compress.bundle.open import open_bundle
from compress.cli.commands import app
from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir
from compress.errors import InputError, Unavailable, VerificationError
from compress.hub import hub_file, is_on_hub, open_repository, parse
from compress.recipe.library import find
from compress.recipe.load import load_recipe
from compress.restore.open import Settings, open_restorer
from tests.reliability.hub import REGULAR_BYTES, Hub, hub_server

KEPT = next((Path(__file__).parents[1] / "kept").glob("release_*.zip"))


@pytest.fixture()
def small(tmp_path: Path) -> Path:
    """A real bundle of a tiny model (OpenVINO, int8)."""
    with zipfile.ZipFile(KEPT) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("bundle/")])
    return tmp_path / "bundle"


@pytest.fixture()
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running Hub, which the client asks, as somebody logged in, with an empty cache."""
    from huggingface_hub import constants

    with hub_server() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        address = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        yield hub


def test_a_pushed_bundle_comes_back_and_restores(small: Path, hub: Hub, photo: np.ndarray) -> None:
    done = CliRunner().invoke(app, ["push", str(small), "someone/tiny"])
    assert done.exit_code == 0, done.output
    name = done.stdout.strip()
    assert is_on_hub(name) and parse(name).revision == hub.branches["someone/tiny"]["main"]
    folder = local("hf://someone/tiny")
    assert open_bundle(folder).manifest == open_bundle(small).manifest
    there, here = (open_restorer(source, Settings(overlap=32)) for source in (name, str(small)))
    assert np.array_equal(there.restore(photo[:16, :24], lambda: None), here.restore(photo[:16, :24], lambda: None))


def test_an_artifact_in_it_is_named_by_its_path(small: Path, hub: Hub) -> None:
    push(small, "someone/tiny", private=False, branch=None)
    entry = open_bundle(small).manifest.artifacts[0].entry
    assert local(f"hf://someone/tiny/bundle/{entry}").read_bytes() == (small / entry).read_bytes()


def test_verify_and_report_take_it(small: Path, hub: Hub, tmp_path: Path) -> None:
    push(small, "someone/tiny", private=False, branch=None)
    done = CliRunner().invoke(app, ["verify", "hf://someone/tiny"])
    assert done.exit_code == 0, done.output
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["report", "hf://someone/tiny", "-o", str(page)])
    assert done.exit_code == 0 and page.stat().st_size > 10_000, done.output


def test_large_files_go_on_their_own_and_old_ones_are_removed(small: Path, hub: Hub) -> None:
    push(small, "someone/tiny", private=False, branch=None)
    commit = hub.branches["someone/tiny"]["main"]
    files = dict(hub.repositories["someone/tiny"][commit])
    assert hub.blobs and all(len(data) > REGULAR_BYTES for data in hub.blobs.values())
    hub.commit("someone/tiny", {**files, "bundle/int8/onnx/model.onnx": b"of another recipe", "notes.txt": b"kept"})
    push(small, "someone/tiny", private=False, branch=None)
    names = set(hub.repositories["someone/tiny"][hub.branches["someone/tiny"]["main"]])
    assert names == {*files, "notes.txt"}


def test_a_branch(small: Path, hub: Hub) -> None:
    push(small, "someone/tiny", private=False, branch=None)
    before = hub.branches["someone/tiny"]["main"]
    push(small, "someone/tiny", private=False, branch="trial")
    assert hub.branches["someone/tiny"]["main"] == before
    assert local("hf://someone/tiny@trial").is_dir()


def test_an_altered_bundle_is_neither_pushed_nor_used(small: Path, hub: Hub) -> None:
    name = push(small, "someone/tiny", private=False, branch=None)
    files = dict(hub.repositories["someone/tiny"][parse(name).revision or ""])
    entry = f"bundle/{open_bundle(small).manifest.artifacts[0].entry}"
    hub.commit("someone/tiny", {**files, entry: files[entry] + b" "})
    with pytest.raises(VerificationError, match=r"model\.xml: differs in size from the manifest: do not use it"):
        local("hf://someone/tiny")
    hub.commit("someone/tiny", {**files, entry: files[entry][:-1] + b" "})
    with pytest.raises(VerificationError, match=r"model\.xml differs from its hash in the manifest: do not use it"):
        local("hf://someone/tiny")
    (small / "recipe.yaml").write_text("")
    with pytest.raises(VerificationError, match=r"recipe\.yaml: differs"):
        push(small, "someone/other", private=False, branch=None)
    assert "someone/other" not in hub.repositories


def test_only_what_the_manifest_lists_is_downloaded(small: Path, hub: Hub) -> None:
    name = push(small, "someone/tiny", private=False, branch=None)
    files = hub.repositories["someone/tiny"][parse(name).revision or ""]
    hub.commit("someone/tiny", {**files, "bundle/.bashrc": b"x", "bundle/../../x": b"x", "model.pkl": b"x"})
    folder = local("hf://someone/tiny")
    assert not open_bundle(folder).unlisted_files()
    assert not any("bashrc" in line or "pkl" in line for line in hub.requests)


def test_what_has_another_size_than_the_manifest_says_is_not_downloaded(small: Path, hub: Hub) -> None:
    name = push(small, "someone/tiny", private=False, branch=None)
    files = dict(hub.repositories["someone/tiny"][parse(name).revision or ""])
    entry = open_bundle(small).manifest.artifacts[0].entry
    for huge in (f"bundle/{entry}", "bundle/manifest.json", "bundle/manifest.json.sig"):
        hub.commit("someone/tiny", {**files, huge: b" " * (MOST_BYTES + 1)})
        hub.requests.clear()
        with pytest.raises(VerificationError, match="do not use it"):
            local("hf://someone/tiny")
        assert not any(line.endswith(huge) for line in hub.requests)


@pytest.mark.parametrize(
    "said",
    [
        {"sha": "/tmp/x"},
        {"sha": "../../x"},
        {"sha": 5},
        {"sha": "a" * 41},
        {"siblings": [{"rfilename": "manifest.json", "size": 10**400}]},
        {"siblings": [{"rfilename": "manifest.json", "size": "9"}]},
        {"siblings": [{"rfilename": "manifest.json", "size": -1}]},
        {"siblings": [{"rfilename": 5, "size": 1}]},
    ],
)
def test_an_answer_that_no_hub_gives(said: dict[str, object], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

    answer = {"id": "someone/tiny", "sha": "a" * 40, "siblings": [], **said}
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: ModelInfo(**answer))
    done = CliRunner().invoke(app, ["verify", "hf://someone/tiny"])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (4, "", 1), done.output


def test_another_commit_than_the_pinned_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: ModelInfo(id="someone/tiny", sha="a" * 40, siblings=[]))
    with pytest.raises(Unavailable, match="its answer is of another commit"):
        local(f"hf://someone/tiny@{'b' * 40}")


def test_a_file_whose_size_the_hub_hides(small: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    push(small, "someone/tiny", private=False, branch=None)
    opened, _ = open_repository("hf://someone/tiny")
    hidden = replace(opened, sizes=dict.fromkeys(opened.sizes, 0))
    monkeypatch.setattr("compress.bundle.hub.open_repository", lambda source: (hidden, ""))
    with pytest.raises(VerificationError, match="differs in size from the manifest"):
        local("hf://someone/tiny")


@pytest.mark.parametrize("name", ["x\n---\nlicense: mit", "\u202eabc", "\u2028x", "\x1b[2J"])
def test_names_forge_no_line_of_the_card(name: str, small: Path) -> None:
    opened = open_bundle(small)
    results = opened.results()
    for row in results.quality:
        row.dataset = name
    results.task = name
    text = model_card(opened.manifest.model_copy(update={"name": name}), results, "someone/tiny")
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.split("\n").count("---") == 2 and "\n    license" not in text
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "other"


def test_a_pinned_bundle_is_used_without_the_hub(small: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    name = push(small, "someone/tiny", private=False, branch=None)
    local(name)
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert local(name).is_dir()
    assert len(hub.requests) == asked
    with pytest.raises(Unavailable, match="the Hugging Face Hub cannot be reached"):
        local("hf://someone/tiny")


def test_checkpoints_and_recipes(tiny_elir: Elir, hub: Hub, tmp_path: Path) -> None:
    save_checkpoint(tiny_elir, tmp_path / "tiny.safetensors", {})
    weights = (tmp_path / "tiny.safetensors").read_bytes()
    recipe = b"version: 1\nextends: int8_sr\nname: mine\nmodel: {weights: 'hf://someone/weights'}\n"
    hub.commit("someone/weights", {"tiny.safetensors": weights, "mine.yaml": recipe, "tiny.pth": b"pickle"})
    assert find("weights", "hf://someone/weights/tiny.safetensors").read_bytes() == weights
    assert find("weights", "hf://someone/weights").read_bytes() == weights
    assert load_recipe("hf://someone/weights/mine.yaml").model.weights == "hf://someone/weights"
    with pytest.raises(InputError, match=r"from the Hub only \.safetensors is taken"):
        find("weights", "hf://someone/weights/tiny.pth")
    hub.commit("someone/weights", {"a/x.safetensors": weights, "b/y.safetensors": weights})
    with pytest.raises(InputError, match=r"has several \(a/x\.safetensors, b/y\.safetensors\): give"):
        find("weights", "hf://someone/weights")
    assert hub_file("hf://someone/weights/a", [".safetensors"]).name == "x.safetensors"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf://someone", "no name on the Hub"),
        ("hf://", "no name on the Hub"),
        ("hf://a/b/../../c", "leads out of the repository"),
        ("hf://datasets/someone/photos", "names a dataset, and models are taken"),
        ("hf://someone/nothing", "no such model on the Hub"),
        ("hf://someone/empty@v9", "the repository has no such revision"),
        ("hf://someone/empty", "holds no bundle (no manifest.json)"),
        ("hf://some one/x", "no name on the Hub"),
    ],
)
def test_what_is_not_there(name: str, message: str, hub: Hub) -> None:
    hub.commit("someone/empty", {"README.md": b""})
    done = CliRunner().invoke(app, ["verify", name])
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_push_needs_to_be_allowed(small: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "b" * 34)
    done = CliRunner().invoke(app, ["push", str(small), "someone/tiny"])
    assert done.exit_code == 4
    assert done.stderr.splitlines()[-1].startswith("hf://someone/tiny: the Hub refuses it (401): log in"), done.stderr
    done = CliRunner().invoke(app, ["push", str(small), "someone/tiny@main"])
    assert done.exit_code == 2 and "a whole repository is written to" in done.stderr


def test_offline_is_one_line(tmp_path: Path) -> None:
    """In a process of its own: the client reads HF_HUB_OFFLINE once, at its import."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "compress", "verify", "hf://someone/tiny"]
    for kept, way_out in (
        ((), "unset HF_HUB_OFFLINE, since the files asked for are not in the cache, or give a local path"),
        (
            ("a" * 40, "b" * 40),
            f"unset HF_HUB_OFFLINE, or name the commit that is in the cache (hf://someone/tiny@{'b' * 40})",
        ),
    ):
        for i, commit in enumerate(kept):
            folder = tmp_path / "hub/models--someone--tiny/snapshots" / commit
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_bytes(b"kept")
            os.utime(folder, (i, i))
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        assert (done.returncode, done.stdout) == (4, ""), done.stderr
        assert done.stderr == f"hf://someone/tiny: HF_HUB_OFFLINE is set, so the Hub is not asked: {way_out}\n"


def test_the_card_says_what_was_measured(small: Path) -> None:
    done = CliRunner().invoke(app, ["push", str(small), "someone/tiny", "--dry-run"])
    assert done.exit_code == 0, done.output
    opened = open_bundle(small)
    results, text = opened.results(), model_card(opened.manifest, opened.results(), "someone/tiny")
    assert done.stdout == text
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["pipeline_tag"] == "image-to-image" and {"elir", "openvino"} <= set(head["tags"])
    (entry,) = head["model-index"]
    measured = {
        (result["dataset"]["type"], metric["name"]): metric["value"]
        for result in entry["results"]
        for metric in result["metrics"]
    }
    assert measured, json.dumps(head)
    for row in results.quality:
        assert measured[row.dataset, f"PSNR ({row.artifact})"] == row.psnr_db
    for artifact in results.artifacts:
        assert f"| {artifact.id} | " in text


@pytest.mark.parametrize("said", ["\x1b]0;title\x07", "x\nFORGED", "a" * 41, "", None, 5, ["a" * 40]])
def test_a_commit_that_no_hub_makes(said: object, small: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """`push` prints its name."""
    from tests.reliability.hub import _Handler

    answer = _Handler._json

    def json(handler: _Handler, status: int, value: object, *more: object) -> None:
        changed = {**value, "commitOid": said} if isinstance(value, dict) and "commitOid" in value else value
        answer(handler, status, changed, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(_Handler, "_json", json)
    done = CliRunner().invoke(app, ["push", str(small), "someone/tiny"])
    assert (done.exit_code, done.stdout) == (4, ""), done.output
    assert done.stderr.replace("\n", "").isprintable() and "FORGED" not in done.stderr.split("\n")


@pytest.mark.parametrize(
    "part", ["/api/repos/create", "/api/models/someone/tiny", "/preupload/", "/resolve/", "/commit/"]
)
@pytest.mark.parametrize("how", ["silent", "endless"])
def test_a_hub_without_end(how: str, part: str, small: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has no limit of its own, neither of time nor of bytes."""
    from tests.reliability.hub import _Handler

    if part == "/resolve/":
        push(small, "someone/tiny", private=False, branch=None)
    answer, ended = _Handler._answer, threading.Event()
    asked: list[str] = []

    def forever(handler: _Handler, status: int, data: bytes, headers: dict[str, str]) -> None:
        if part not in handler.path or handler.command == "HEAD":
            return answer(handler, status, data, headers)
        asked.append(handler.path)
        handler.send_response(200)
        for name, value in (("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")):
            handler.send_header(name, value)
        handler.end_headers()
        with suppress(OSError):
            while how == "endless":
                handler.wfile.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        ended.wait(10)
        return None

    monkeypatch.setattr(_Handler, "_answer", forever)
    for name, value in (("SILENT_S", 0.3), ("TIMEOUT_S", 0.3), ("MOST_ANSWER", 1 << 22)):
        monkeypatch.setattr(f"compress.hub.{name}", value)
    monkeypatch.setattr("compress.bundle.hub.SILENT_S", 0.3)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between tries
    command = ["verify", "hf://someone/tiny"] if part == "/resolve/" else ["push", str(small), "someone/tiny"]
    started = time.monotonic()
    done = CliRunner().invoke(app, command)
    ended.set()
    assert done.exit_code == 4 and time.monotonic() - started < 20, done.output
    assert "the Hugging Face Hub cannot be reached, or fails (" in done.stderr
    assert how == "endless" or max(map(asked.count, asked)) <= 2, "the client's own way is six times"


@pytest.mark.parametrize("header", [("Retry-After", "100000"), ("RateLimit", '"api";r=0;t=100000')])
@pytest.mark.parametrize("part", ["/api/models/someone/tiny", "/preupload/", "/resolve/"])
def test_a_hub_that_asks_for_patience(
    header: tuple[str, str], part: str, small: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client would sleep for a day, without a word."""
    from tests.reliability.hub import _Handler

    if part == "/resolve/":
        push(small, "someone/tiny", private=False, branch=None)
    answer = _Handler._answer

    def busy(handler: _Handler, status: int, data: bytes, headers: dict[str, str]) -> None:
        asked = part in handler.path
        return answer(handler, 429 if asked else status, b"{}" if asked else data, {**headers, **dict([header])})

    monkeypatch.setattr(_Handler, "_answer", busy)
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    command = ["verify", "hf://someone/tiny"] if part == "/resolve/" else ["push", str(small), "someone/tiny"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 4 and max(slept, default=0) <= 30, done.output
    assert done.stderr.splitlines()[-1].endswith(
        "the Hub is busy, and asks for 100000 s of patience: run it again then"
    )


@pytest.fixture()
def one_connection_fails(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first file that is sent or fetched is asked for where nobody listens; the others are held between choosing a
    session and using it, until that file is asked for again. Gives its address, each time.
    """
    import httpx2

    build, asked, again, lock = httpx2.Client.build_request, [], threading.Event(), threading.Lock()

    def failing(client: httpx2.Client, method: str, url: str, **settings: object) -> httpx2.Request:
        if method in ("PUT", "GET") and ("/blobs/" in url or "/resolve/" in url):
            with lock:
                is_first = not asked
                if is_failed := is_first or url == asked[0]:
                    asked.append(url)
            if is_first:
                url = "http://127.0.0.1:1/"
            elif is_failed:
                again.set()
            elif not again.wait(20):
                raise AssertionError("the others were never let go")
        return build(client, method, url, **settings)

    monkeypatch.setattr(httpx2.Client, "build_request", failing)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between tries
    return asked


def test_a_connection_that_failed_leaves_the_others(small: Path, hub: Hub, one_connection_fails: list[str]) -> None:
    """The client closes all of its connections then, and goes on with others."""
    push(small, "someone/tiny", private=False, branch=None)
    assert len(one_connection_fails) == 2
    there = hub.repositories["someone/tiny"][hub.branches["someone/tiny"]["main"]]
    assert {f"bundle/{path.name}" for path in small.iterdir() if path.is_file()} < set(there)


def test_a_download_s_connection_that_failed_leaves_the_others(
    small: Path, hub: Hub, one_connection_fails: list[str]
) -> None:
    files = {f"{n}.safetensors": bytes([n]) * 1000 for n in range(8)}
    hub.commit("someone/many", files)
    folder = open_repository("hf://someone/many")[0].download(list(files))
    assert len(one_connection_fails) == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_bounds_outlive_a_connection_that_failed(
    small: Path, hub: Hub, one_connection_fails: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one, the client goes on with another session."""
    from tests.reliability.hub import _Handler

    answer = _Handler._answer

    def long(handler: _Handler, status: int, data: bytes, headers: dict[str, str]) -> None:
        with suppress(OSError):
            answer(handler, status, data + b" " * ("/commit/" in handler.path) * (1 << 24), headers)

    monkeypatch.setattr(_Handler, "_answer", long)
    monkeypatch.setattr("compress.hub.MOST_ANSWER", 1 << 22)
    done = CliRunner().invoke(app, ["push", str(small), "someone/tiny"])
    assert done.exit_code == 4 and len(one_connection_fails) == 2, done.output
    assert "its answer has more than 4194304 bytes" in done.stderr
