"""Commands that hand a stranger's files to compiled code: what ends it, or holds it for ever, is one line and 5."""

import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compress.python_process import ROOT
from tests.ledger.test_bounds import message, server

KEPT = Path(__file__).parents[1] / "kept" / "release_0_1_0.zip"
SHAPE = (1, 3, 64, 64)
# A shell that starts the tests in the background has SIGINT ignored.
MAIN = """
import signal, sys
from compress.cli import commands, guard, watch
signal.signal(signal.SIGINT, signal.default_int_handler)
watch.LIMIT_S, watch.LOOK_S, guard.GRACE_S = float(sys.argv.pop(1)), 0.2, 0.5
commands.main()
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process watches")


def command(*words: object, limit_s: float = 600) -> "subprocess.Popen[str]":
    everything = [sys.executable, "-c", MAIN, str(limit_s), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(everything, stdout=-1, stderr=-1, text=True, env=environment)


def ended(*words: object, limit_s: float = 600) -> tuple[int, str, str]:
    """Exit code, stdout, and the last line of stderr."""
    process = command(*words, limit_s=limit_s)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, (err.splitlines() or [""])[-1]


def onnx_of(path: Path, nodes: list[Any], **constants: np.ndarray) -> Path:
    from onnx import TensorProto, helper, numpy_helper

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("lq", "hq")]
    values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], values)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(model.SerializeToString())
    return path


def trap(path: Path) -> Path:
    """A model whose constants are divided before it is run, which no x86 can do: -2^63 / -1."""
    from onnx import helper

    nodes = [helper.make_node("Div", ["a", "b"], ["c"]), helper.make_node("Cast", ["c"], ["d"], to=1)]
    nodes.append(helper.make_node("Add", ["lq", "d"], ["hq"]))
    return onnx_of(path, nodes, a=np.array([-(2**63)], np.int64), b=np.array([-1], np.int64))


def endless(path: Path) -> Path:
    from onnx import TensorProto, helper

    ports = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
    ]
    outputs = [
        helper.make_tensor_value_info("again", TensorProto.BOOL, []),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    nodes = [helper.make_node("Identity", ["c"], ["again"]), helper.make_node("Identity", ["x"], ["y"])]
    body = helper.make_graph(nodes, "body", ports, outputs)
    return onnx_of(path, [helper.make_node("Loop", ["", "true", "lq"], ["hq"], body=body)], true=np.array(True))


def trap_in_a_bundle(folder: Path) -> Path:
    """A bundle as its manifest says, whose one artifact is ``trap``."""
    with zipfile.ZipFile(KEPT) as archive:
        archive.extractall(folder)
    bundle = folder / "bundle"
    shutil.rmtree(bundle / "int8/openvino")
    (bundle / "int8/onnx").mkdir()
    trap(bundle / "int8/onnx/model.onnx")
    for name in ("results.json", "manifest.json"):
        text = (bundle / name).read_text().replace("openvino-int8", "onnx-int8").replace('"openvino"', '"onnx"')
        text = text.replace("int8/openvino/model.xml", "int8/onnx/model.onnx").replace("_openvino-int8", "_onnx-int8")
        (bundle / name).write_text(text)
    (bundle / "samples/validation0_openvino-int8.png").rename(bundle / "samples/validation0_onnx-int8.png")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = [file for file in manifest["files"] if not file["path"].endswith(".bin")]
    for file in manifest["files"]:
        data = (bundle / file["path"]).read_bytes()
        file |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


@pytest.fixture()
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_what_ends_the_process_is_refused_in_one_line(tmp_path: Path, picture: Path) -> None:
    file = trap(tmp_path / "m.onnx")
    words = ["restore", file, picture, "-o", tmp_path / "out.png", "--scale", "1"]
    line = f"{file}: refused, it ended the process that read or ran it (SIGFPE): do not use it, get another copy"
    assert ended(*words) == (5, "", line)
    bundle = trap_in_a_bundle(tmp_path)
    line = line.replace(str(file), str(bundle / "int8/onnx/model.onnx"))
    assert ended("verify", bundle) == (5, "", line)
    assert not (tmp_path / "out.png").exists()


CRASH = """
import ctypes, sys, torch
from compress.cli import commands
torch.load = lambda *given, **named: ctypes.string_at(0)
commands.main()
"""
RECIPE = """
version: 1
name: x
model: {{weights: {folder}/x.pth, image_size: 64, k_steps: 1, sigma_s: 0.1}}
data: {{calibration: {folder}/a, validation: [{folder}/b]}}
passes: [fold_time: {{}}, ptq: {{rounding: nearest}}]
export: {{onnx: {{precisions: [fp32, int8]}}}}
"""
TRAIN = """
version: 1
name: x
model: {{weights: {folder}/x.pth}}
data: {{train: [{folder}/a], validation: photos_validation}}
stages: [{{space: pixels, steps: 1, batch: 1, crop: 32, warmup: 0, weights: {{l1: 1.0}}}}]
"""


@pytest.mark.parametrize("words", ["apply", "train", "sensitivity", "search", "profile"])
def test_a_checkpoint_that_ends_the_process_is_refused_by_whatever_reads_it(words: str, tmp_path: Path) -> None:
    for shade in range(9):
        folder = tmp_path / ("a" if shade else "b")
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), (shade,) * 3).save(folder / f"{shade}.png")
    (tmp_path / "x.pth").write_bytes(b"damaged")
    (tmp_path / "x.yaml").write_text((TRAIN if words == "train" else RECIPE).format(folder=tmp_path))
    given = tmp_path / ("x.pth" if words == "profile" else "x.yaml")
    everything = [sys.executable, "-c", CRASH, words, given]
    done = subprocess.run(
        everything, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    file = tmp_path / "x.pth"
    line = f"{file}: refused, it ended the process that read or ran it (SIGSEGV): do not use it, get another copy"
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (5, [line])


ON_A_TERMINAL = """
import ctypes, hashlib, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
from compress.cli import guard, watch
from compress.native_work import native_work
from compress.progress import Progress
guard.GRACE_S, watch.LOOK_S = 0.3, 0.1
def run():
    with guard.guard(lambda: True), Progress("bars").stage("train", 10), native_work("x.pth"):
        {call}
watch.run_watched(["train"], run)
"""


HASHING = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # which no signal interrupts


@pytest.mark.parametrize(
    ("call", "code", "line"),
    [
        (HASHING, 130, "interrupted: the same command resumes from what is saved"),
        (HASHING, -3, ""),
        ("ctypes.string_at(0)", 5, "x.pth: refused, it ended the process"),
    ],
    ids=["interrupted", "quit", "crashed"],
)
def test_the_cursor_that_a_bar_hid_is_shown_again(call: str, code: int, line: str) -> None:
    leader, follower = os.openpty()
    everything = [sys.executable, "-c", ON_A_TERMINAL.format(call=call)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    process = subprocess.Popen(everything, stderr=follower, stdin=follower, env=environment, start_new_session=True)
    os.close(follower)
    text, number = b"", {130: signal.SIGINT, -3: signal.SIGQUIT}.get(code)
    while True:
        try:
            text += os.read(leader, 4096)
        except OSError:  # nobody writes to it any more
            break
        if b"train" in text and number is not None:
            time.sleep(0.5)
            os.killpg(process.pid, number)
            number = None
    os.close(leader)
    assert process.wait(60) == code
    _, hidden, after = text.decode().rpartition("\x1b[?25l")
    assert hidden and "\x1b[?25h" in after and line in after


def test_what_never_ends_is_refused_after_a_time(tmp_path: Path, picture: Path) -> None:
    file = endless(tmp_path / "m.onnx")
    words = ["restore", file, picture, "-o", tmp_path / "out.png", "--scale", "1"]
    line = f"{file}: refused, not read or run within 1 s: do not use it, get another copy"
    assert ended(*words, limit_s=1) == (5, "", line)


ROUNDS = """
from compress.cli import commands, watch
from compress.ledger import connect
watch.LOOK_S, connect.CONNECT_S, connect.GREETING_S = 0.2, 1.0, 0.0
commands.main()
"""


def test_a_server_that_has_a_password_hashed_two_billion_times_is_refused_soon() -> None:
    pytest.importorskip("psycopg")

    def ask(connection: socket.socket) -> None:
        connection.sendall(message(b"R", struct.pack(">I", 10) + b"SCRAM-SHA-256\0\0"))
        nonce = connection.recv(4096).rpartition(b"r=")[2]
        connection.sendall(message(b"R", struct.pack(">I", 11) + b"r=" + nonce + b"x,s=AAAAAAAA,i=2000000000"))
        connection.recv(1)

    with server(lambda connection: None, greet=ask) as url:
        given = url.replace("someone", "someone:s3cret").replace("+psycopg", "")
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COMPRESS_LEDGER_URL": given}
        everything = [sys.executable, "-c", ROUNDS, "ledger", "ls"]
        done = subprocess.run(everything, capture_output=True, text=True, env=environment, timeout=100)
    line = f"ledger {url.replace('+psycopg', '')}: gives no greeting within 1 s: check the server\n"
    assert (done.returncode, done.stderr) == (4, line)


def test_the_exit_code_of_a_child_is_kept_where_ends_of_children_are_ignored(tmp_path: Path) -> None:
    """As below a service that wants to hear of none of its children: what it starts inherits that."""
    code = MAIN.replace("commands.main()", "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\ncommands.main()")
    everything = [sys.executable, "-c", code, "600", "verify", str(tmp_path)]
    done = subprocess.run(everything, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"{tmp_path}: not a bundle, ")


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGKILL", -9)])
def test_it_ends_as_it_did_in_one_process(number: str, code: int, tmp_path: Path, picture: Path) -> None:
    """A signal reaches the child, which does not outlive the process that was started."""
    words = ["restore", endless(tmp_path / "m.onnx"), picture, "-o", tmp_path / "out.png", "--scale", "1"]
    process = command(*words)
    assert process.stderr is not None
    for line in process.stderr:
        if "1 of 1" in line:
            break
    child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    process.send_signal(signal.Signals[number])
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.splitlines()[-1:] == (["interrupted"] if code == 130 else [])
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            return
        time.sleep(0.05)
    raise AssertionError("the child outlives it")


def test_a_child_that_the_system_ended_is_no_success(tmp_path: Path, picture: Path) -> None:
    file = endless(tmp_path / "m.onnx")
    process = command("restore", file, picture, "-o", tmp_path / "out.png", "--scale", "1")
    assert process.stderr is not None
    for line in process.stderr:
        if "1 of 1" in line:
            break
    time.sleep(1)  # until it is at work, on a busy machine too
    os.kill(int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    line = f"{file}: ended by SIGKILL, as for lack of memory: free some, or do not use the file"
    assert (process.returncode, err.splitlines()[-1:]) == (2, [line])
