"""A job on a device behind ssh: send the runner and the files, wait, collect, clean up; outlives lost connections.

The device is a stranger: whatever it prints ends in one line, ``Unavailable`` or ``VerificationError``.
"""

import platform
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from compress.errors import CompressError, Unavailable, VerificationError
from compress.files import sha256_text
from compress.recipe.target_parts import Ssh
from compress.surroundings import user_name
from compress.targets.answers import MOST_BYTES, Delivery, M, Removal, RunnerError, RunnerResult, Status, read_answer
from compress.targets.job import Job
from compress.targets.runner_archive import NAME, runner_archive, runner_sha256
from compress.targets.ssh.link import MOST_BYTES as BYTES
from compress.targets.ssh.link import ConnectionLoss, open_at, remote
from compress.targets.ssh.retry import DeviceLoss, retry

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
MOST_PARTS = 20  # that a file is taken in, one connection each
LONGEST_FOLDER = 1500
T = TypeVar("T")


def holder() -> str:
    """Who uses a device: user@machine, for its lock and for the names of jobs."""
    return f"{user_name()}@{platform.node()}"


def run_on_device(
    target: str, ssh: Ssh, job: Job, files: Mapping[str, Path], progress: "Progress", limit_s: float
) -> RunnerResult:
    """Run ``job`` on a device. ``files``: every file of the job, by its name there; ``limit_s``: for measuring.

    A job that lost its sender is taken up where it stands. Afterwards nothing is left there, unless the device cannot
    be reached any more: the message names the folder. Raises Unavailable (unreachable, refused, in use, wrong runtime,
    out of memory or disk, runner killed, late, or not to be understood), VerificationError (a file arrived changed).
    """
    job = job.model_copy(update={"holder": holder(), "lock": ssh.lock})
    name = sha256_text(job.model_dump_json() + runner_sha256())[:16]
    with _one_at_a_time(name, target), progress.stage(f"measure {target}") as stage:
        device = Device(target, ssh, name, progress.say)
        stage.note(f"connect to {ssh.host}")
        device.install()
        try:
            device.start(job)
            stage.note("copy")
            device.send(files)
            device.wait(limit_s, stage.note)
            return device.result(job.artifacts)
        except DeviceLoss as error:
            raise Unavailable(
                f"target {target}: {ssh.host} was lost {error}; {device.folder} is still there: run the same command "
                "to go on"
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


class Device:
    """The runner in a folder of its own on a device. Every verb may be repeated, so a lost connection loses nothing."""

    def __init__(self, target: str, ssh: Ssh, name: str, say: Callable[[str], None]) -> None:
        self.target, self.ssh, self.say = target, ssh, say
        self.name, self.folder = name, f"{ssh.folder}/{name}"
        self.gone = False
        self.answered = 0
        self.status = Status(state="none", seq=0)

    def install(self) -> None:
        """Write the runner there: the first contact, not tried twice."""
        said = contact(self.target, self.ssh, ["-c", INSTALL, self.folder, NAME], runner_archive())
        folder = said.decode("utf-8", "replace").rstrip().rpartition("\n")[2].rstrip("\r")
        # It becomes a part of command lines and messages.
        fits = folder.startswith("/") and folder.endswith(f"/{self.name}") and len(folder) <= LONGEST_FOLDER
        if not (fits and folder.isprintable()):
            raise self._unreadable("no folder of its own")
        self.folder = folder

    def start(self, job: Job) -> None:
        """Begin the job, or find it at work."""
        feed = job.model_dump_json().encode()
        self.status = self._persist(lambda: self._ask(Status, "start", feed=feed, timeout_s=START_S))
        self._check()

    def send(self, files: Mapping[str, Path]) -> None:
        """Copy what is not there yet; after a lost connection the rest of the file."""
        for name, path in files.items():
            self._persist(partial(self._put, name, path, [self._received(name)]))

    def _put(self, name: str, path: Path, there: list[int]) -> None:
        size, parts = path.stat().st_size, 0
        while there[0] < size:
            offset = there[0]
            there[0] = -1
            if offset < 0:  # the connection was lost in between
                self.status = self._ask(Status, "status", "0", "0")
                self._check()
                offset = self._received(name)
            with open_at(path, offset) as file:
                limit_s = SHORT_S + size / SLOWEST
                there[0] = self._ask(Delivery, "put", name, str(offset), feed=file, timeout_s=limit_s).bytes
            parts += 1
            if there[0] <= offset or parts > MOST_PARTS:  # one byte a connection would take weeks
                raise self._unreadable(f"{there[0]} bytes of {name}, {offset} were there before")

    def _received(self, name: str) -> int:
        if name not in self.status.received:
            raise self._unreadable(f"nothing of {name}")
        return self.status.received[name]

    def wait(self, limit_s: float, note: Callable[[str], None]) -> None:
        """Return when the job is done; ``note`` what it says meanwhile."""
        ends = time.monotonic() + limit_s
        while self.status.state != "done":
            if time.monotonic() > ends:
                raise Unavailable(f"target {self.target}: {self.ssh.host}: not done within {limit_s:.0f} s: try again")
            self.status = self._persist(self._news)
            self._check()
            note(self.status.note)

    def _news(self) -> Status:
        return self._ask(Status, "status", str(POLL_S), str(self.status.seq), timeout_s=POLL_S + SHORT_S)

    def result(self, artifacts: Collection[str]) -> RunnerResult:
        """What the job measured, of these artifacts."""
        result = self._persist(lambda: self._ask(RunnerResult, "result", most=MOST_BYTES))
        if result.artifacts.keys() != set(artifacts):
            raise self._unreadable("figures of other artifacts")
        return result

    def remove(self) -> None:
        """End what runs there and delete the folder, if the device can be reached; else say what is left."""
        if self.gone:
            return
        with suppress(ConnectionLoss, CompressError):
            if self._ask(Removal, "remove").removed:
                return
        self.say(f"target {self.target}: {self.folder} could not be removed on {self.ssh.host}: delete it there")

    def _ask(
        self, kind: type[M], verb: str, *words: str, feed: "bytes | IO[bytes]" = b"", timeout_s: float = SHORT_S,
        most: int = BYTES,
    ) -> M:  # fmt: skip
        command = [self.ssh.python, f"{self.folder}/{NAME}", verb, self.folder, *words]
        try:
            answer = read_answer(kind, remote(self.ssh, command, feed, timeout_s, most))
        except ValueError as error:
            raise self._unreadable(str(error)) from None
        except Unavailable as error:
            raise Unavailable(f"target {self.target}: {error}") from None
        self.answered += 1
        if isinstance(answer, RunnerError):
            raise self._error(answer)
        return answer

    def _check(self) -> None:
        """Raise what the runner met."""
        if self.status.state == "none":
            raise self._error(RunnerError(message="its folder there was deleted: run the same command again"))
        if self.status.error or self.status.state == "failed":
            raise self._error(self.status.error or RunnerError(message="failed there, and does not say why"))

    def _error(self, error: RunnerError) -> CompressError:
        kind = VerificationError if error.exit_code == VerificationError.exit_code else Unavailable
        return kind(f"target {self.target}: {self.ssh.host}: {error.message}")

    def _unreadable(self, what: str) -> Unavailable:
        return Unavailable(
            f"target {self.target}: {self.ssh.host}: the runner's answer there cannot be used ({what}): see that "
            f"`ssh {self.ssh.host} {self.ssh.python} -V` prints a version and nothing else"
        )

    def _persist(self, action: Callable[[], T]) -> T:
        try:
            return retry(
                action,
                lambda loss: self.say(f"{self.ssh.host}: connection lost ({loss}), trying again"),
                lambda: self.answered,
            )
        except DeviceLoss:
            self.gone = True
            raise
