"""The verbs of the runner's command line.

    python3 runner.pyz VERB FOLDER [...]

``start`` (the job, JSON, on stdin) begins a worker that outlives the connection: it holds the device's lock, waits for
the files, checks their hashes, measures and writes ``result.json``. ``put NAME OFFSET`` (bytes on stdin) delivers a
file, or the rest of one. ``status SECONDS SEEN`` waits for news, ``result`` prints the result, ``remove`` ends the
worker and deletes the folder. Each verb prints one JSON document. ``work``, ``version``, ``cold`` and ``warm`` are the
worker and its own children; ``count`` is for emulators. Errors: ``{"error": {"message", "exit_code"}}``.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List

from compress.targets.runner.child import cold, count, warm
from compress.targets.runner.failure import UNAVAILABLE, Failure
from compress.targets.runner.locks import is_locked, lock
from compress.targets.runner.machine import read_text
from compress.targets.runner.program import program
from compress.targets.runner.runtimes import version
from compress.targets.runner.state import (
    CHUNK,
    FINAL,
    Job,
    check_names,
    listed,
    read_json,
    read_state,
    received,
    write_json,
)
from compress.targets.runner.worker import START_S, TICK_S, work


def start(folder: str, job: Job) -> Dict[str, Any]:
    """Begin the worker, unless this very job is at work or done already; the status once it is past its checks."""
    check_names(job)
    if read_state(folder)["state"] in ("none", "failed"):
        write_json(os.path.join(folder, "job.json"), job)
        write_json(os.path.join(folder, "state.json"), {"state": "starting", "seq": 0})
        null, command = subprocess.DEVNULL, [*program(), "work", folder]
        with open(os.path.join(folder, "worker.err"), "wb") as err:
            process = subprocess.Popen(command, stdin=null, stdout=null, stderr=err, start_new_session=True)
        with open(os.path.join(folder, "pid"), "w") as file:
            file.write(str(process.pid))
        while process.poll() is None and not is_locked(os.path.join(folder, "alive")):
            time.sleep(0.02)
    return status(folder, START_S, lambda state: state["state"] != "starting")


def status(folder: str, seconds: float, ready: Callable[[Dict[str, Any]], bool]) -> Dict[str, Any]:
    """The state as soon as it is ``ready``, or after ``seconds``; with the bytes received of every file."""
    ends = time.monotonic() + seconds
    state = read_state(folder)
    while not (ready(state) or state["state"] in FINAL or time.monotonic() > ends):
        time.sleep(TICK_S)
        state = read_state(folder)
    if state["state"] == "none":
        return state
    return {**state, "received": received(folder, read_json(os.path.join(folder, "job.json")))}


def put(folder: str, name: str, offset: int, stream: Any) -> Dict[str, Any]:
    """Write ``stream`` into a file of the job, from ``offset`` on."""
    if name not in {file["name"] for file in listed(read_json(os.path.join(folder, "job.json")))}:
        raise Failure(name + " is not a file of this job")
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
        file.seek(offset)
        for chunk in iter(lambda: stream.read1(CHUNK), b""):
            file.write(chunk)
            file.flush()
        return {"bytes": file.tell()}


def remove(folder: str) -> Dict[str, Any]:
    """End the worker and its children, delete the folder, and its parent when nothing else is in it."""
    if os.path.isdir(folder):
        pid = read_text(os.path.join(folder, "pid"))
        if pid and is_locked(os.path.join(folder, "alive")):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pid), signal.SIGKILL)
            while is_locked(os.path.join(folder, "alive")):
                time.sleep(0.02)
        with contextlib.suppress(OSError, Failure):
            path = read_json(os.path.join(folder, "job.json"))["lock"]
            # A worker that was killed left its lock's file: who locks it deletes it.
            if os.path.exists(path):
                with lock(path, ""):
                    pass
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(folder))
    return {"removed": not os.path.exists(folder)}


def verb(name: str, folder: str, rest: List[str]) -> Any:
    """Do what the command line says."""
    if name == "start":
        return start(folder, json.load(sys.stdin))
    if name == "put":
        return put(folder, rest[0], int(rest[1]), sys.stdin.buffer)
    if name == "status":
        return status(folder, float(rest[0]), lambda state: state["seq"] != int(rest[1]))
    if name == "result":
        return read_json(os.path.join(folder, "result.json"))
    if name == "remove":
        return remove(folder)
    job = read_json(os.path.join(folder, "job.json"))
    if name == "version":
        return {"version": version(job)}
    if name == "count":
        return count(folder, job, rest[0])
    return cold(folder, job, rest[0]) if name == "cold" else warm(folder, job)


def main() -> None:
    """One verb; its answer is one JSON document on stdout."""
    name, folder = sys.argv[1], os.path.abspath(os.path.expanduser(sys.argv[2]))
    if name == "work":
        return work(folder)
    # Runtimes print to stdout, from C too: keep the real one for the answer.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        try:
            answer = verb(name, folder, sys.argv[3:])
        except Failure as error:
            answer = {"error": {"message": str(error), "exit_code": error.exit_code}}
        except MemoryError:
            answer = {"error": {"message": "out of memory: use a smaller model", "exit_code": UNAVAILABLE}}
        except OSError as error:
            message = f"{error.strerror or error} ({error.filename or folder})"
            answer = {"error": {"message": message, "exit_code": UNAVAILABLE}}
        json.dump(answer, answers)
