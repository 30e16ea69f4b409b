"""One grammar for what becomes a path here or on a device, held wherever it is read, with a sentence that says it."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from compress.bundle.schema import Manifest
from compress.data.names import file_name
from compress.errors import InputError
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.library import find
from compress.recipe.names import Browser, Folder, Host, Lock, Name, PictureName, Python
from compress.recipe.validation import load_model
from compress.results.performance import Performance
from compress.results.section import first_mistake

ODD = ["", "..", ".bashrc", "-rf", "a/b", "../x", "onnx-int8-/../../..", "a\n", "a b", "\x1b[2J", "a" * 101, "\u202ea"]


def takes(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
        return True
    except ValidationError:
        return False


@pytest.mark.parametrize(
    ("kind", "fit", "unfit"),
    [
        (Name, ["onnx-int8-tensorrt", "rpi5", "a..b", "A_1.x"], ODD),
        (PictureName, ["0801", "Foto (1)", "夕焼け", "50%25"],
         ["", ".x", "-x", "a/b", "a\nb", "\x1b[2J", "a\u202eb", "x" * 256]),
        (Folder, ["~/elir", "/data/elir-1", "elir", "~/.cache/x"],
         ["~nosuch", "-rf", "~", "/", "", "~/../x", "a//b", "a;b", "$HOME"]),
        (Lock, ["/tmp/elir-compress.lock", "/var/lock/elir-compress-2.lock"],
         ["/home/a/.bashrc", "elir-compress.lock", "/tmp/x.lock", "/../elir-compress.lock"]),
        (Python, ["python3", "/opt/venv/bin/python3.11", "pypy3"], ["rm", "-c", "/bin/sh", "python3 -c x", "~/python"]),
        (Browser, ["chromium", "google-chrome-stable", "chrome", "microsoft-edge", "ungoogled-chromium"],
         ["/tmp/chromium", "./chromium", "../chrome", "~/chrome", "chrome/x", "sh", "rm", "-chrome", "chrome --x", ""]),
        (Host, ["anna@board-7", "rpi5", "10.0.0.7"], ["-oProxyCommand=x", "", "a b", "a\n"]),
    ],
)  # fmt: skip
def test_a_grammar(kind: Any, fit: list[str], unfit: list[str]) -> None:
    assert [text for text in fit if not takes(kind, text)] == []
    assert [text for text in unfit if takes(kind, text)] == []


@pytest.mark.parametrize("text", [".x", "-", "a/b\\c", "é\x1b", "x" * 300, "\u202e", "a\u2028b", " x"])
def test_names_of_pictures_as_they_are_written_are_read(text: str) -> None:
    assert takes(PictureName, file_name(text))


@pytest.mark.parametrize("id_", ODD)
def test_an_artifact_that_would_climb_on_a_device_is_refused_with_its_bundle(id_: str) -> None:
    artifact = {"id": id_, "format": "onnx", "precision": "int8", "entry": ".bashrc"}
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate({"schema_version": 1, "files": [], "artifacts": [artifact]})
    assert first_mistake(caught.value).startswith("artifacts.0.id: String should")
    assert not takes(Performance, {"artifact": id_}) and not takes(Performance, {"artifact": "a", "target": id_})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ssh.folder=~nosuch", "ssh.folder: must be a path whose parts are letters, digits, '.', '_' and '-', without"),
        ("ssh.lock=/home/anna/.bashrc", "ssh.lock: must be an absolute path that ends in elir-compress.lock, or"),
        ("ssh.python=rm", "ssh.python: must be python3, or the absolute path of a Python, got 'rm'"),
        ("ssh.host=-oProxyCommand=x", "ssh.host: must be user@name, or a Host of ~/.ssh/config, got"),
        ("name=../x", "name: must be letters, digits, '.', '_' and '-', beginning with a letter or digit, got '../x'"),
        ("options.CACHE_DIR=.ssh", "options: option CACHE_DIR must not name a file or folder, got '.ssh': remove it"),
        ("options.x=/home/anna", "options: option x must not name a file or folder, got '/home/anna': remove it"),
        ("runtime_min=new", "runtime_min: must be numbers with points between, such as 1.18, got 'new'"),
    ],
)  # fmt: skip
def test_a_target_is_told_what_a_name_must_be(setting: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_model(DeployTarget, find("targets", "rpi5"), [setting])
    assert message in str(caught.value)


def test_a_target_from_a_stranger_starts_no_program_of_his(tmp_path: Any) -> None:
    text = find("targets", "web-wasm").read_text().replace("browser: {}", "browser: {program: ./chromium}")
    (tmp_path / "web.yaml").write_text(text)
    with pytest.raises(InputError, match=r"must be the name of a Chromium, .*COMPRESS_BROWSER may hold a path"):
        load_model(DeployTarget, tmp_path / "web.yaml")
