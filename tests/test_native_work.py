"""What compiled code is doing: seen from the process that watches, and nothing where none does."""

import os
import threading
from pathlib import Path

import pytest

from compress import native_work
from compress.native_work import NativeWork, be_watched, note_signal


@pytest.fixture()
def work(monkeypatch: pytest.MonkeyPatch) -> NativeWork:
    monkeypatch.setattr(native_work, "_watched", None)
    return NativeWork()


def test_the_call_at_work_is_seen_by_the_parent(work: NativeWork) -> None:
    with native_work.native_work("nobody watches"):
        assert work.at_work() is None
    name = Path("a\udcff" * 3000)
    if not (child := os.fork()):
        be_watched(work)
        with native_work.native_work(name):
            note_signal()
            os._exit(0)
    os.waitpid(child, 0)
    noted = work.at_work()
    assert noted is not None and str(name).startswith(noted[0][:-1]) and work.signals == 1


def test_calls_of_threads_are_counted(work: NativeWork) -> None:
    """One that never returns is seen once the others have ended."""
    be_watched(work)
    held, reached = threading.Event(), threading.Event()

    def stuck() -> None:
        with native_work.native_work("stuck"):
            reached.set()
            held.wait(30)

    thread = threading.Thread(target=stuck)
    thread.start()
    assert reached.wait(30)
    for _ in range(3):
        with pytest.raises(ValueError, match="as it may"), native_work.native_work("stuck"):
            raise ValueError("as it may")
    first, second = work.at_work(), work.at_work()
    assert first is not None and first == second and first[0] == "stuck"
    held.set()
    thread.join()
    assert work.at_work() is None
