"""Cases in forked processes of a warm parent: killed at their time limit, watched for writes outside their folder."""

import _thread
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTSIDE = 97  # exit code of a case that wrote, ran or connected where it may not
DEVICES = ("/dev/", "/proc/")
_BOTH, _FIRST, _SECOND = slice(2), slice(1), slice(1, 2)
# Event -> its paths that are written; what a symlink names is not.
_WRITES = {"os.rename": _BOTH, "os.mkdir": _FIRST, "os.remove": _FIRST, "os.rmdir": _FIRST, "os.link": _BOTH}
_WRITES |= {"os.symlink": _SECOND}
SENDER = "SENDER:"
PROBE = ["-P", "-m", "compress.artifacts.runtime.trial"]  # the one program that opening a stranger's file may start
_NEVER = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "os.startfile"}


@dataclass(frozen=True)
class CaseEnd:
    """How a process ended: ``code`` is the exit code, -n for signal n; ``hung``: its time limit ended it."""

    code: int
    out: str
    err: str
    seconds: float
    hung: bool = False


def forked(work: Callable[[], Any], folder: Path, limit_s: float, kill_after_s: float | None = None) -> CaseEnd:
    """Run ``work`` in a child whose output goes to files in ``folder``; SIGKILL to its group after ``kill_after_s``."""
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        _child(work, folder)
    wait_s = limit_s if kill_after_s is None else min(limit_s, kill_after_s)
    hung = not _ended_within(pid, wait_s)
    if hung:
        kill_group(pid)
    _, status = os.waitpid(pid, 0)
    # A child that was killed at once had no time to open them.
    files = [folder / name for name in ("stdout", "stderr")]
    texts = [f.read_text(encoding="utf-8", errors="replace") if f.is_file() else "" for f in files]
    killed_on_purpose = kill_after_s is not None and kill_after_s < limit_s
    seconds = time.monotonic() - started
    return CaseEnd(os.waitstatus_to_exitcode(status), *texts, seconds, hung and not killed_on_purpose)


def kill_group(pid: int) -> None:
    """SIGKILL to a child and all that it started."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _ended_within(pid: int, seconds: float) -> bool:
    handle = os.pidfd_open(pid)
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _child(work: Callable[[], Any], folder: Path) -> None:
    """Never returns."""
    code = 1
    try:
        os.setsid()
        # A shell that starts the harness in the background has SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, name in ((1, "stdout"), (2, "stderr")):
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(handle, number)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        code = int(work() or 0)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            # Where files are limited, this may fail; a child that then went on would be a second harness.
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def command(
    arguments: Sequence[str],
    inside: Path,
    *,
    watched: bool = True,
    before: Callable[[], None] | None = None,
    ledger: str | None = None,
) -> Callable[[], int]:
    """``compress`` with ``arguments``, for ``forked``; ``watched``: it may write in ``inside`` only, and start nothing.

    Its cache, temporary files and, unless ``ledger`` is the URL of another, ledger are in ``inside``. ``before`` is
    called last before the command.
    """

    def run() -> int:
        sys.set_int_max_str_digits(sys.int_info.default_max_str_digits)
        _own_places(inside, ledger or file_ledger(inside))
        if watched:
            watch(inside)
        from compress.cli.commands import app

        if before is not None:
            before()
        app(list(arguments), prog_name="compress")
        return 0

    return run


def file_ledger(inside: Path) -> str:
    """URL of the ledger of commands inside of a folder."""
    return f"sqlite:///{inside / 'ledger.sqlite'}"


def _own_places(inside: Path, ledger: str) -> None:
    import tempfile

    temporary = inside / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    os.environ["COMPRESS_LEDGER_URL"] = ledger
    os.environ["COMPRESS_CACHE"] = str(inside / "cache")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(temporary / "torchinductor")  # which torch makes when it is imported
    os.environ.pop("COMPRESS_DEBUG", None)


def watch(inside: Path) -> None:
    """End this process with ``OUTSIDE`` at the first write outside ``inside``, the first program or connection."""
    root = str(inside.resolve()) + os.sep

    def allowed(path: Any, *, followed: bool = True) -> bool:
        """``followed``: what a link names is meant, not the link."""
        if isinstance(path, int) or path is None:
            return True
        given = os.fsdecode(path)
        above, name = os.path.split(given)
        text = os.path.realpath(given) if followed else os.path.join(os.path.realpath(above), name)
        return (text + os.sep).startswith(root) or text.startswith(DEVICES)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and list(args[1][1:4]) == PROBE:
            return
        if event in _NEVER:
            _stop(event, args)
        elif event == "open":
            path, mode, flags = args
            writes = (
                any(c in mode for c in "wax+") if isinstance(mode, str) else bool(flags & (os.O_RDWR | os.O_WRONLY))
            )
            followed = not flags & os.O_NOFOLLOW  # with it, opening a link fails
            if writes and not allowed(path, followed=followed):
                _stop(event, args)
        elif event in _WRITES and not all(allowed(path, followed=False) for path in args[_WRITES[event]]):
            _stop(event, args)

    sys.addaudithook(hook)


def name_sender(signals: Collection[signal.Signals] = (signal.SIGTERM,)) -> None:
    """From here on each of ``signals`` is preceded by a line on stderr that says which process sent it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # also in threads that start later, so that only this one gets it

    def wait() -> None:
        while info := signal.sigwaitinfo(signals):
            try:
                sender = Path(f"/proc/{info.si_pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError as error:
                sender = str(error.strerror)
            text = f"{SENDER} {signal.Signals(info.si_signo).name} came from process {info.si_pid} ({sender.strip()})\n"
            os.write(2, text.encode(errors="replace"))
            _thread.interrupt_main(info.si_signo)

    threading.Thread(target=wait, daemon=True, name="sender").start()


def _stop(event: str, args: tuple[Any, ...]) -> None:
    os.write(2, f"WATCH: {event} {args!r}\n".encode(errors="replace"))
    os._exit(OUTSIDE)
