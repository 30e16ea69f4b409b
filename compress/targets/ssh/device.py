"""A job on a device behind ssh: send the runner and the files, wait, collect, clean up; outlives lost connections."""

import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import CompressError, InputError, Unavailable, VerificationError
from compress.files import sha256_text
from compress.recipe.target_parts import Ssh
from compress.surroundings import user_name
from compress.targets.runner_archive import NAME, runner_archive, runner_sha256
from compress.targets.ssh.link import ConnectionLoss, open_at, remote

if TYPE_CHECKING:
    from compress.progress import Progress

INSTALL = (
    "import os,sys;"
    "sys.version_info<(3,8) and sys.exit('Python 3.8 or newer is needed, this is '+sys.version.split()[0]);"
    "f=os.path.abspath(os.path.expanduser(sys.argv[1]));os.makedirs(f,0o700,exist_ok=True);p=os.path.join(f,sys.argv[2]);"
    "h=open(p+'.new','wb');h.write(sys.stdin.buffer.read());h.close();os.replace(p+'.new',p);print(f)"
)
START_S, POLL_S, SHORT_S = 240, 120, 60
SLOWEST = 20_000  # bytes/s: slower than this a transfer counts as lost
RECONNECT_S, PAUSE_S, LONGEST_PAUSE_S = 180.0, 1.0, 15.0
ERRORS = {kind.exit_code: kind for kind in (CompressError, InputError, Unavailable, VerificationError)}
Job = Mapping[str, Any]


def holder() -> str:
    """Who uses a device: user@machine, for its lock and for the names of jobs."""
    return f"{user_name()}@{platform.node()}"


def run_on_device(target: str, ssh: Ssh, job: Job, files: Mapping[str, Path], progress: "Progress") -> dict[str, Any]:
    """Run ``job`` on a device -> the runner's result. ``files``: every file of the job, by its name there.

    A job that lost its sender is taken up where it stands. Afterwards nothing is left there, unless the device cannot
    be reached any more: the message names the folder. Raises Unavailable (unreachable, refused, in use, wrong runtime,
    out of memory or disk, runner killed), VerificationError (a file arrived changed).
    """
    job = {**job, "holder": holder(), "lock": ssh.lock}
    name = sha256_text(json.dumps(job, sort_keys=True) + runner_sha256())[:16]
    with _one_at_a_time(name, target), progress.stage(f"measure {target}") as stage:
        device = Device(target, ssh, name, progress.say)
        stage.note(f"connect to {ssh.host}")
        device.install()
        try:
            status = device.call("start", feed=json.dumps(job).encode(), timeout_s=START_S)
            _check(target, ssh, status)
            stage.note("copy")
            device.send(files, status["received"])
            while status["state"] != "done":
                status = device.call("status", str(POLL_S), str(status["seq"]), timeout_s=POLL_S + SHORT_S)
                _check(target, ssh, status)
                stage.note(status.get("note", ""))
            return dict(device.call("result"))
        except DeviceLoss as error:
            raise Unavailable(
                f"target {target}: {ssh.host} was lost ({error}) and did not come back within {RECONNECT_S:.0f} s; "
                f"{device.folder} is still there: run the same command to go on"
            ) from None
        finally:
            device.remove()


@contextmanager
def _one_at_a_time(name: str, target: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    path = Path(tempfile.gettempdir()) / f"elir-compress-{name}.lock"
    try:
        with FileLock(path).acquire(timeout=0):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
    except Timeout:
        raise Unavailable(f"target {target}: is in use by the same command here: wait until that is done") from None


def _check(target: str, ssh: Ssh, status: Mapping[str, Any]) -> None:
    """Raise what the runner met."""
    error = status.get("error")
    if status["state"] == "none":
        error = {"message": "its folder there was deleted: run the same command again", "exit_code": 4}
    if error:
        raise ERRORS.get(error["exit_code"], CompressError)(f"target {target}: {ssh.host}: {error['message']}")


def contact(target: str, ssh: Ssh, words: Sequence[str] = ("-c", ""), feed: bytes = b"") -> bytes:
    """What Python prints there, tried once. Raises Unavailable when the device, or Python on it, cannot be reached."""
    try:
        return remote(ssh, [ssh.python, "-I", *words], feed, SHORT_S)
    except ConnectionLoss as error:
        raise Unavailable(
            f"target {target}: {ssh.host} cannot be reached ({error}): see that it is on and `ssh {ssh.host}` works"
        ) from None
    except Unavailable as error:
        raise Unavailable(f"target {target}: {error}") from None


class DeviceLoss(Exception):
    """The connection was lost, and stayed so."""


class Device:
    """The runner in a folder of its own on a device. Every verb may be repeated, so a lost connection loses nothing."""

    def __init__(self, target: str, ssh: Ssh, name: str, say: Callable[[str], None]) -> None:
        self.target, self.ssh, self.say = target, ssh, say
        self.folder = f"{ssh.folder}/{name}"
        self.gone = False

    def install(self) -> None:
        """Write the runner there: the first contact, not tried twice."""
        said = contact(self.target, self.ssh, ["-c", INSTALL, self.folder, NAME], runner_archive())
        self.folder = said.decode().strip().splitlines()[-1]

    def call(self, verb: str, *words: str, feed: bytes = b"", timeout_s: float = SHORT_S) -> dict[str, Any]:
        """A verb's answer. Raises Gone when the device stays away, and what the runner met."""
        return self._persist(lambda: self._once(verb, *words, feed=feed, timeout_s=timeout_s))

    def send(self, files: Mapping[str, Path], received: Mapping[str, int]) -> None:
        """Copy what is not there yet; after a lost connection the rest of the file."""
        for name, path in files.items():
            self._persist(partial(self._put, name, path, [received[name]]))

    def _put(self, name: str, path: Path, there: list[int]) -> dict[str, Any]:
        size = path.stat().st_size
        while there[0] < size:
            offset = there[0]
            there[0] = -1
            if offset < 0:  # the connection was lost in between
                status = self._once("status", "0", "0")
                _check(self.target, self.ssh, status)
                offset = status["received"][name]
            with open_at(path, offset) as file:
                there[0] = self._once("put", name, str(offset), feed=file, timeout_s=SHORT_S + size / SLOWEST)["bytes"]
        return {}

    def remove(self) -> None:
        """End what runs there and delete the folder, if the device can be reached; else say what is left."""
        if self.gone:
            return
        try:
            if self._once("remove")["removed"]:
                return
        except (ConnectionLoss, CompressError):
            pass
        self.say(f"target {self.target}: {self.folder} could not be removed on {self.ssh.host}: delete it there")

    def _once(self, verb: str, *words: str, feed: Any = b"", timeout_s: float = SHORT_S) -> dict[str, Any]:
        command = [self.ssh.python, f"{self.folder}/{NAME}", verb, self.folder, *words]
        said = remote(self.ssh, command, feed, timeout_s)
        answer: dict[str, Any] = {}
        with suppress(ValueError, IndexError):
            answer = json.loads(said.decode().splitlines()[-1])
        if not isinstance(answer, dict) or not answer:
            raise Unavailable(f"target {self.target}: {self.ssh.host}: the runner's answer cannot be read: report it")
        if "state" not in answer:
            _check(self.target, self.ssh, {"state": "", **answer})
        return answer

    def _persist(self, action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        pause, ends = PAUSE_S, 0.0
        while True:
            try:
                return action()
            except ConnectionLoss as error:
                ends = ends or time.monotonic() + RECONNECT_S
                if time.monotonic() + pause > ends:
                    self.gone = True
                    raise DeviceLoss(str(error)) from None
                self.say(f"{self.ssh.host}: connection lost ({error}), trying again")
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
