"""The worker: checks the device, waits for the files, measures, writes the result."""

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Optional

from compress.targets.runner.accuracy import accuracy
from compress.targets.runner.child import TIMED
from compress.targets.runner.failure import DAMAGED, FAULT, UNAVAILABLE, Failure
from compress.targets.runner.locks import lock
from compress.targets.runner.machine import cores, machine, read_text, recorded
from compress.targets.runner.program import program
from compress.targets.runner.runtimes import RUNTIMES
from compress.targets.runner.sampler import Sampler
from compress.targets.runner.state import Job, check_hashes, listed, read_json, received, tell, write_json

START_S, LOAD_S, TICK_S = 180, 900, 0.3

Note = Callable[[str, int], None]
"""Called with what is being done, and how many of the job's steps, two an artifact, are done."""


class Children:
    """A job's work in processes of their own. ``environment``: theirs; None: as this process's."""

    def __init__(self, folder: str, job: Job, environment: Optional[Dict[str, str]] = None) -> None:
        self.folder, self.job, self.environment = folder, job, environment

    def load_each(self, note: Note) -> Dict[str, Any]:
        """Every artifact's load time, first inference and memory."""
        results: Dict[str, Any] = {}
        for name in self.job["artifacts"]:
            note("load " + name, len(results))
            results[name] = self.run(["cold", name], name, LOAD_S)
            rss, most = results[name]["peak_rss_mb"], self.job["memory_mb"]
            if most and rss and rss > most:
                raise Failure(f"{name} takes {rss:.0f} MB, the target grants {most}: use a smaller picture")
        return results

    def time_all(self, note: Note, each: Callable[[], None] = lambda: None) -> Dict[str, Any]:
        """Every artifact's timed runs, interleaved; ``each`` is called about once a second."""
        count, protocol = len(self.job["artifacts"]), self.job["protocol"]

        def look() -> None:
            each()
            with contextlib.suppress(OSError):
                note("timed runs, interleaved", count + os.path.getsize(os.path.join(self.folder, TIMED)))

        note("timed runs, interleaved", count)
        limit_s = LOAD_S + count * 3 * (protocol["max_s"] + protocol["warmup_s"])
        return dict(self.run(["warm"], "timed runs", limit_s, look))

    def run(self, arguments: List[str], what: str, limit_s: float, each: Callable[[], None] = lambda: None) -> Any:
        """What a process of its own printed; ``each`` is called about once a second while it runs."""
        paths = [os.path.join(self.folder, name) for name in ("child.out", "child.err")]
        command = [*program(), arguments[0], self.folder, *arguments[1:]]
        null = subprocess.DEVNULL
        with open(paths[0], "wb") as out, open(paths[1], "wb") as err:
            process = subprocess.Popen(command, stdin=null, stdout=out, stderr=err, env=self.environment)
        try:
            self._await(process, what, limit_s, each)
        finally:
            process.kill()
            process.wait()
        last = (read_text(paths[1]).splitlines() or ["no message"])[-1].strip()[:200]
        if process.returncode == -signal.SIGKILL:
            raise Failure(f"{what}: killed: the machine is short of memory, or somebody ended it")
        if process.returncode < 0:  # a runtime ends so at a file that it does not expect
            raise Failure(f"{what}: ended by signal {-process.returncode} ({last}): do not use it", DAMAGED)
        if process.returncode:
            raise Failure(f"{what}: ended with {process.returncode} ({last})", FAULT)
        result = read_json(paths[0])
        if "error" in result:
            raise Failure(what + ": " + result["error"]["message"], result["error"]["exit_code"])
        return result

    def _await(self, process: "subprocess.Popen[bytes]", what: str, limit_s: float, each: Callable[[], None]) -> None:
        ends = time.monotonic() + limit_s
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
                return
            each()
            if time.monotonic() > ends:
                raise Failure(f"{what}: not done after {limit_s:.10g} s, so it was stopped: run it again")


def check_device(folder: str, job: Job) -> str:
    """The runtime's version. Raises Failure when this is another device than the target's, or lacks something."""
    facts = machine()
    if platform.machine() != job["arch"]:
        raise Failure("is {}, the target is {}: correct arch or the host".format(platform.machine(), job["arch"]))
    if job["model"] and job["model"].lower() not in (facts["model"] or "").lower():
        raise Failure(
            "calls itself {}, not {}: correct model or the host".format(facts["model"] or "nothing", job["model"])
        )
    if job["runtime"] not in RUNTIMES:
        raise Failure("runtime {} cannot be run by this release: nothing was measured".format(job["runtime"]))
    need = sum(file["bytes"] for file in listed(job)) * 5 // 4
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Failure(f"its disk has {free >> 20} MB free, {need >> 20} are needed: free some")
    return str(Children(folder, job).run(["version"], "import of " + job["runtime"], START_S)["version"])


def await_files(folder: str, job: Job) -> None:
    """Return when all have arrived. When the sender is gone for long the folder is deleted."""
    wanted = {file["name"]: file["bytes"] for file in listed(job)}
    seen: Dict[str, int] = {}
    since = time.monotonic()
    while seen != wanted:
        now = received(folder, job)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > job["idle_s"]:
            shutil.rmtree(folder, ignore_errors=True)
            sys.exit(1)
        time.sleep(TICK_S)


def measure(folder: str, job: Job) -> Dict[str, Any]:
    """The result: facts, cold and warm figures, accuracy."""
    check_hashes(folder, job)
    job["threads"] = job["threads"] or cores()
    write_json(os.path.join(folder, "job.json"), job)

    def note(text: str, done: int) -> None:
        tell(folder, "measuring", text)

    facts, children = machine(), Children(folder, job)
    first = children.load_each(note)
    scores = accuracy(folder, job)
    note("rest", len(first))
    time.sleep(job["cooldown_s"])
    sampler = Sampler()
    try:
        sampler.take()
        times = children.time_all(note, sampler.take)
    finally:
        sampled = sampler.stop()
    sampled["settings"] = recorded(job["record"])
    entries = {name: {**first[name], **times[name], "accuracy": scores[name]} for name in first}
    return {"machine": facts, "threads": job["threads"], "sampled": sampled, "artifacts": entries}


def work(folder: str) -> None:
    """Do the job; every way that it can end is written to state.json."""
    job = read_json(os.path.join(folder, "job.json"))
    # Those who look whether it is locked lock it for an instant.
    with lock(os.path.join(folder, "alive"), "", wait=True):
        tell(folder, "starting")
        try:
            with lock(job["lock"], job["holder"]):
                check_device(folder, job)
                tell(folder, "receiving")
                await_files(folder, job)
                write_json(os.path.join(folder, "result.json"), measure(folder, job))
            tell(folder, "done")
        except Failure as error:
            tell(folder, "failed", error={"message": str(error), "exit_code": error.exit_code})
        except OSError as error:
            what = f"{error.strerror or error} ({error.filename or folder})"
            tell(folder, "failed", error={"message": what, "exit_code": UNAVAILABLE})
