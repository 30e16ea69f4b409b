"""A job's folder: its description, its state, and the files that have arrived."""

import contextlib
import hashlib
import json
import os
import re
import time
from typing import Any, Dict, List, Optional

from compress.targets.runner.failure import DAMAGED, UNAVAILABLE, Failure
from compress.targets.runner.locks import is_locked
from compress.targets.runner.machine import read_text

Job = Dict[str, Any]

CHUNK = 1 << 20

FINAL = ("done", "failed")

# As compress.recipe.names; a file may lie in the folder of its artifact.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?\Z")
LOCK = re.compile(r"(/\.?[A-Za-z0-9_][A-Za-z0-9_.-]*)*/elir-compress[A-Za-z0-9_.-]*\.lock\Z")


def read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write_json(path: str, value: Any) -> None:
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.replace(path + ".new", path)


def read_state(folder: str) -> Dict[str, Any]:
    """{state: starting, receiving, measuring, done, failed; seq, note, error}."""
    with contextlib.suppress(OSError):
        state = read_json(os.path.join(folder, "state.json"))
        if state["state"] in FINAL or is_locked(os.path.join(folder, "alive")):
            return state
        # It may have ended between the two looks.
        state = read_json(os.path.join(folder, "state.json"))
        if state["state"] not in FINAL:
            last = (read_text(os.path.join(folder, "worker.err")).splitlines() or ["killed; short of memory?"])[-1]
            error = {"message": f"the runner ended there ({last}): try again", "exit_code": UNAVAILABLE}
            state.update(state="failed", error=error, seq=state["seq"] + 1)
        return state
    return {"state": "none", "seq": 0}


def tell(folder: str, state: str, note: str = "", error: Optional[Dict[str, Any]] = None) -> None:
    seq = int(time.monotonic() * 1e6)
    write_json(os.path.join(folder, "state.json"), {"state": state, "seq": seq, "note": note, "error": error})


def listed(job: Job) -> List[Dict[str, Any]]:
    native = (job.get("native") or {}).get("files", [])
    return [job["inputs"]] + native + [file for item in job["artifacts"].values() for file in item["files"]]


def check_names(job: Job) -> None:
    """Raise Failure unless every file that the job names lies in the job's own folder, and its lock is one of ours."""
    entries = [item["entry"] for item in job["artifacts"].values()]
    for name in [*job["artifacts"], *entries, *(file["name"] for file in listed(job))]:
        if not NAME.match(name):
            raise Failure(f"{name!r} is not a name for a file of a job")
    if not LOCK.match(job["lock"]):
        raise Failure("{!r} is not a name for a lock".format(job["lock"]))


def received(folder: str, job: Job) -> Dict[str, int]:
    """Bytes that have arrived of every file."""
    paths = {file["name"]: os.path.join(folder, file["name"]) for file in listed(job)}
    return {name: os.path.getsize(path) if os.path.exists(path) else 0 for name, path in paths.items()}


def check_hashes(folder: str, job: Job) -> None:
    for file in listed(job):
        digest = hashlib.sha256()
        with open(os.path.join(folder, file["name"]), "rb") as stream:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                digest.update(chunk)
        if digest.hexdigest() != file["sha256"]:
            raise Failure(file["name"] + " arrived changed: its hash differs from the manifest's", DAMAGED)
