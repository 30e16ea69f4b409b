"""A device that says anything: one clear line and exit code 4 or 5, or figures that are figures; never control
characters, never a hang, never more memory than an answer may take."""

import io
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.artifacts.artifact import Artifact
from compress.errors import CompressError, Unavailable
from compress.measure.latency import PROTOCOLS, Protocol
from compress.progress import Progress
from compress.recipe.deploy_target import DeployTarget
from compress.results.performance import Performance
from compress.targets.bench import bench_target
from compress.targets.entries import Bench
from compress.targets.ssh import bench as ssh_bench
from compress.targets.ssh import retry

SSH = """#!/bin/sh
# In the place of ssh: prints what the test has written for the verb, and ends as it says.
for command; do :; done
set -f
set -- $command
verb=$3
folder=$4
if [ "$2" = -I ]; then
    verb=install
    for word; do [ "$word" = runner.pyz ] || folder=$word; done
fi
cd "$(dirname "$0")/../answers" || exit 99
if [ -e "$verb.endless" ]; then exec cat /dev/zero; fi
if [ -e "$verb.stderr" ]; then cat "$verb.stderr" >&2; fi
if [ -e "$verb.code" ]; then read code <"$verb.code"; exit "$code"; fi
if [ -e "$verb" ]; then exec cat "$verb"; fi
folder=${folder%\\'}
echo "/home/anna/${folder##*/}"
"""
TARGET = DeployTarget.model_validate(
    {
        "version": 1,
        "name": "there",
        "runtime": "onnxruntime",
        "format": "onnx",
        "reach": "ssh",
        "ssh": {"host": "board"},
    }
)
STATUS = {
    "state": "done",
    "seq": 5,
    "note": "rest",
    "error": None,
    "received": {"inputs.npz": 9, "onnx-fp32/model.onnx": 9, "onnx-int8/model.onnx": 9},
}
SERIES = {"min": 1500, "median": 1950.5, "max": 2400, "n": 2, "source": "cpufreq"}
RUN = {
    "load_ms": 12.5,
    "first_inference_ms": 3.25,
    "peak_rss_mb": 80.5,
    "facts": {"onnxruntime": "1.24.0", "threads": 4, "flags": ["INT8"], "session.x": True, "build_s": 2.5},
    "samples": [2.5] * 20,
    "warmup": 6,
    "accuracy": {"n": 2, "psnr_db": 30.5, "fidelity_db": None, "parity_db": 100.0},
}
HONEST: dict[str, Any] = {
    "start": {**STATUS, "state": "receiving"},
    "put": {"bytes": 10**9},
    "status": STATUS,
    "result": {
        "machine": {"cpu": "Cortex-A76", "model": "Board 5", "cores": 4, "features": ["asimd", "asimddp", "fp"]},
        "threads": 4,
        "sampled": {
            "clock_mhz": SERIES,
            "temperature_c": None,
            "power_w": None,
            "settings": {"governor": "performance"},
        },
        "artifacts": {"onnx-fp32": RUN, "onnx-int8": {**RUN, "samples": [1.25] * 20}},
    },
    "remove": {"removed": True},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``bin/ssh``, and ``answers``, that a device which says anything takes its answers from."""
    folder = tmp_path_factory.mktemp("stranger")
    for name in ("bin", "answers"):
        (folder / name).mkdir()
    (folder / "bin/ssh").write_text(SSH)
    (folder / "bin/ssh").chmod(0o755)
    (folder / "model.onnx").write_bytes(b"\x08\x08\x12\x05hello")  # a model of 9 bytes: its version and its producer
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        patch.setitem(PROTOCOLS, "quick", Protocol("quick", min_runs=20, min_s=0.01, max_s=0.01, warmup_s=0.01))
        for name in ("SLACK_S", "START_S", "LOAD_S"):
            patch.setattr(ssh_bench, name, 0.05)
        for name in ("RECONNECT_S", "PAUSE_S"):
            patch.setattr(retry, name, 0.01)
        yield folder


def meet(place: Path, answers: dict[str, bytes]) -> tuple[list[dict[str, Any]], str]:
    """What a bench on that device gives, and what it shows meanwhile. ``answers``: by verb, or ``verb.code`` and so on;
    of a verb that is not named, the right one."""
    for path in (place / "answers").iterdir():
        path.unlink()
    for name, said in ({verb: json.dumps(answer).encode() for verb, answer in HONEST.items()} | answers).items():
        (place / "answers" / name).write_bytes(said)
    pictures = {"lq": np.zeros((1, 8, 8, 3), np.uint8), "noise": np.zeros((1, 16, 1, 1), np.float32)}
    shown = io.StringIO()
    artifacts = dict.fromkeys((Artifact("onnx", "fp32"), Artifact("onnx", "int8")), place / "model.onnx")
    try:
        entries = bench_target(Bench(artifacts, TARGET, pictures, "quick", Progress("lines", shown)))
        return [entry.to_json() for entry in entries], shown.getvalue()
    finally:
        assert all(line.isprintable() for line in shown.getvalue().splitlines())


def test_a_device_that_answers_as_it_should(place: Path) -> None:
    (entry, int8), shown = meet(place, {})
    assert entry["latency_ms"]["p50"] == 2.5 and entry["threads"] == 4 and entry["accuracy"] == RUN["accuracy"]
    assert entry["machine"]["features"] == ["asimd", "asimddp"] and entry["device"]["clock_mhz"] == SERIES
    assert entry["runtime"] == RUN["facts"] and "(rest)" in shown
    assert int8["speedup_vs"]["fp32"] == {"value": 2.0, "low": 2.0, "high": 2.0}


def changed(document: Any, at: tuple[Any, ...], *value: Any) -> bytes:
    """``document`` as JSON, with ``value`` in the place ``at``, or nothing there."""
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in at[:-1]:
        inner = inner[key]
    if value:
        inner[at[-1]] = value[0]
    else:
        del inner[at[-1]]
    return json.dumps(copy).encode("utf-8", "surrogatepass")


def replaced(path: str, value: Any) -> bytes:
    """An honest answer, ``verb.key.key``, with one value replaced."""
    verb, *keys = path.split(".")
    return changed(HONEST[verb], tuple(keys), value)


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"install": b""}, "the runner's answer there cannot be used (no folder of its own): see that `ssh"),
        ({"install": b"\xff\xfe"}, "(no folder of its own)"),
        ({"install": b"/" + b"x" * 200_000}, "(no folder of its own)"),
        ({"install": b"Welcome\n\x1b[2J/home/anna/.ssh\n"}, "(no folder of its own)"),
        ({"install.endless": b""}, "board: python3 prints without end there: see that it is a Python"),
        ({"start": b""}, "cannot be used (no JSON: Expecting value: line 1"),
        ({"start": b"[" * 1000 + b"]" * 1000}, "(no JSON: nested too deep)"),
        ({"start": b"[]," * 100_000}, "(has more than 10000 parts)"),
        ({"start": b'"' + b"\xc3\x28" * 9 + b'"'}, "(no JSON: 'utf-8' codec can't decode byte"),
        ({"start": b"[1]"}, "(no JSON object)"),
        ({"start": b'{"state": "done", "seq": "1"}'}, "(seq: Input should be a valid integer)"),
        ({"start": replaced("start.received", {})}, "(nothing of inputs.npz)"),
        ({"start": b'{"error": {"message": 1, "exit_code": 4}}'}, "(state: Field required)"),
        ({"start": b'{"error": {"message": "no", "exit_code": "4"}}'}, "(state: Field required)"),
        ({"start": b'{"error": {"message": "no", "exit_code": 0}}'}, "target there: board: no"),
        ({"start": b'{"error": {"message": "\\u001b]0;x\\u0007 a\\n\\u202eb", "exit_code": 1}}'}, "?]0;x? a ?b"),
        ({"start": replaced("start.state", "failed")}, "board: failed there, and does not say why"),
        ({"start": replaced("start.received", {"inputs.npz": 0}), "put": b'{"bytes": 0}'}, "(0 bytes of inputs.npz"),
        ({"status": replaced("status.state", "measuring")}, "board: not done within"),
        ({"status": replaced("status.state", "none")}, "board: its folder there was deleted"),
        ({"status.code": b"1\n", "status.stderr": b"a\nno \x1b[31mspace\xff"}, "ended with 1 there (no ?[31mspace"),
        ({"result": replaced("result.artifacts", {})}, "(figures of other artifacts)"),
        ({"result": replaced("result.artifacts", {"../x": RUN})}, "x.[key]: String should"),
        ({"result": replaced("result.artifacts.onnx-fp32.samples", [])}, "samples: List should have at least 2 items"),
        ({"result": replaced("result.artifacts.onnx-fp32.samples", [0.0])}, "samples.0: Input should be greater"),
        ({"result": replaced("result.artifacts.onnx-fp32.load_ms", float("nan"))}, "(no JSON: NaN is not a number)"),
        ({"result": replaced("result.threads", 1 << 70)}, "does not fit in 64 bits)"),
    ],
)  # fmt: skip
def test_what_a_device_says_wrongly_is_one_line(place: Path, answers: dict[str, bytes], text: str) -> None:
    with pytest.raises(Unavailable) as caught:
        meet(place, answers)
    assert text in str(caught.value) and str(caught.value).startswith("target there: ")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_a_device_that_prints_without_end_takes_no_memory(place: Path) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    for verb in ("start", "status", "result"):
        with pytest.raises(Unavailable, match="board: python3 prints without end there"):
            meet(place, {f"{verb}.endless": b""})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB
    assert time.monotonic() - began < 30


def test_words_of_a_device_are_shown_without_control_characters(place: Path) -> None:
    said = {"start": replaced("start.state", "measuring"), "status": replaced("status.note", "\x1b[2Jx\r\n9 files")}
    cpu = replaced("result.machine.cpu", "A\x1b]0;title\x07" + "x" * 1000)
    (entry, _), shown = meet(place, said | {"result": cpu})
    assert "(?[2Jx 9 files)" in shown
    assert entry["machine"]["cpu"] == ("A?]0;title?" + "x" * 1000)[:197] + "..."


# --- anything --------------------------------------------------------------------------------------------------

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(
            ["\x1b[2J", "\u202e", "../..", "done", "failed", "x" * 100_000, 10**400, -1, 0, 2**63, 1e308, "4"]
        ),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BYTES = st.binary(max_size=60) | st.sampled_from([b"", b"\n\n", b"null", b"[" * 100_000, b"{}", b"\xff" * 9, b"NaN"])


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values are in a document."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


@st.composite
def answers(draw: st.DrawFn) -> dict[str, bytes]:
    """Of one to three verbs something else than it should be."""
    result: dict[str, bytes] = {}
    for verb in draw(st.lists(st.sampled_from(["install", *HONEST]), min_size=1, max_size=3, unique=True)):
        kind = draw(st.sampled_from(["bytes", "value", "value", "value", "removed", "code"]))
        if kind == "code":
            result |= {f"{verb}.code": b"%d\n" % draw(st.sampled_from([1, 127, 255])), f"{verb}.stderr": draw(BYTES)}
        elif kind == "bytes" or verb == "install":
            result[verb] = draw(BYTES)
        else:
            at = draw(st.sampled_from([place for place in places(HONEST[verb]) if place]))
            result[verb] = changed(HONEST[verb], at, *([] if kind == "removed" else [draw(VALUES)]))
    return result


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(inner)


def check(place: Path, answers: dict[str, bytes]) -> None:
    try:
        entries, _ = meet(place, answers)
    except CompressError as error:
        assert error.exit_code in (4, 5)
        assert str(error).startswith("target there: ") and str(error).isprintable() and len(str(error)) < 1000
        return
    for entry in json.loads(json.dumps(entries, allow_nan=False)):
        Performance.model_validate(entry)
        assert all(text.isprintable() for text in texts(entry))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(said=answers())
def test_a_device_that_says_anything(place: Path, said: dict[str, bytes]) -> None:
    check(place, said)


@pytest.mark.nightly
@settings(max_examples=5000, derandomize=False, suppress_health_check=list(HealthCheck))
@given(said=answers())
def test_a_device_that_says_anything_all_night(place: Path, said: dict[str, bytes]) -> None:
    check(place, said)
