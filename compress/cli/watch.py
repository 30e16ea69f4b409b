"""Commands that read files of strangers run in a child of the process that was started, which ends as they do, and says
in one line what a native crash, or a call that never returns, would leave unsaid.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

from compress.native_work import NativeWork, be_watched, taken_bytes
from compress.progress import SHOW_CURSOR, say_last
from compress.surroundings import is_on

READERS = (
    *("apply", "bench", "card", "check", "compare", "convert", "demo", "evaluate", "ledger", "package", "profile"),
    *("report", "restore", "search", "sensitivity", "sweep", "train", "verify"),
)
"""Commands that hand files of others to compiled code."""
LIMIT_S = 600.0
"""Longest time for one call: compiling a model, decoding a picture, or running one tile."""
LOOK_S = 1.0
OWN_S = 0.05  # a terminal sends its signals to the child as well; this long it has to note one
REFUSED, NO_MEMORY, BUG = 5, 2, 1
_PR_SET_PDEATHSIG = 1
_FROM_OUTSIDE = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT}


def run_watched(words: Sequence[str], run: Callable[[], None], limit_s: float | None = None) -> None:
    """Run a command, ``words`` of the command line; in a child where it is one of ``READERS`` and this is Linux.

    With ``COMPRESS_DEBUG`` everything runs in one process, as a debugger wants it.
    """
    if not words or words[0] not in READERS or sys.platform != "linux" or is_on("COMPRESS_DEBUG"):
        run()
        return
    work, parent = NativeWork(), os.getpid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it was ignored, the system keeps no child's exit code
    taken = {number for number in _FROM_OUTSIDE if signal.getsignal(number) is not signal.SIG_IGN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, taken | {signal.SIGCHLD})
    child = os.fork()
    if not child:
        _end_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        be_watched(work)
        run()
        return
    status = _watch(child, work, taken, LIMIT_S if limit_s is None else limit_s)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    sys.exit(_exit_code(status, work))


def _end_with(parent: int) -> None:
    """Have the kernel end this process when ``parent`` is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _watch(child: int, work: NativeWork, taken: set[signal.Signals], limit_s: float) -> int:
    """Wait for the child's end; its status, of ``waitpid``."""
    noted, at_work, waited_s = 0, None, 0.0
    while True:
        began = time.monotonic()
        came = signal.sigtimedwait(taken | {signal.SIGCHLD}, LOOK_S)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        if came is not None and came.si_signo in taken:
            time.sleep(OWN_S)
            if work.signals == noted:
                os.kill(child, came.si_signo)  # twice before it is handled is once
            noted = work.signals
        # Not by the clock: a command that was stopped (Ctrl-Z) for an hour has not worked for an hour.
        now = work.at_work()
        waited_s = waited_s + min(time.monotonic() - began, 2 * LOOK_S) if now and now == at_work else 0.0
        at_work = now
        most_s = now.limit_s or limit_s if now else limit_s
        if now and (waited_s > most_s or 0 < now.limit_bytes < taken_bytes(child)):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            line = f"{now.name}: refused, not read or run within {most_s:.0f} s: do not use it, get another copy"
            line, code = now.late or (line, REFUSED)
            say_last(line)
            return code << 8


def _exit_code(status: int, work: NativeWork) -> int:
    """The child's, or that of the message about the signal that ended it."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    number = signal.Signals(-code)
    if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
        if sys.stderr.isatty():
            sys.stderr.write(SHOW_CURSOR)
            sys.stderr.flush()
        signal.signal(number, signal.SIG_DFL)  # somebody's, before there was a handler: end in the same way
        os.kill(os.getpid(), number)
    at_work = work.at_work()
    name = at_work.name if at_work else ""
    if number == signal.SIGKILL:
        say_last(f"{name or 'the command'}: ended by SIGKILL, as for lack of memory: free some, or do not use the file")
        return NO_MEMORY
    if not name:
        say_last(f"ended by {number.name} in compiled code: this is a bug, please report it")
        return BUG
    say_last(
        f"{name}: refused, it ended the process that read or ran it ({number.name}): do not use it, get another copy"
    )
    return REFUSED
