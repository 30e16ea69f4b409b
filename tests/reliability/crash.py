"""`compress apply` killed at random moments and at every file operation; the next run must make good."""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.files import PART
from compress.ledger.place import DRIVERS
from tests.reliability import postgresql
from tests.reliability.base import APPLY_LIMIT_S, Base, emptied
from tests.reliability.process import CaseEnd, command, file_ledger, forked, name_sender
from tests.reliability.section import Section, problems

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Stage records in the order in which a run writes them; a case may begin after any of them.
ORDER = ("student", "weights", "calibration", "export-", "quality-", "parity", "baselines", "shares", "samples", "macs")
# They hold times of day or of the run, or, in distill/, how far the training is.
TOLD = {"results.json", "report.html", "manifest.json", ".lock", ".compress.json", "checkpoint.pt", "log.jsonl"}
ALL_STAGES = 24
"""File operations of a whole run at which the disk is full, evenly apart."""
LONGEST = "seconds from a signal to the end, longest"
ERRORS = {"full disk": 28, "input/output error": 5}


class Crashes:
    """Cases in ``crash`` below the base's folder; ``out`` is the bundle's folder there, beside its ledger.

    ``server``: URL of a PostgreSQL database for the ledger instead, which every case empties.
    """

    def __init__(
        self, base: Base, section: Section, seed: int, kind: str = "openvino", server: str | None = None
    ) -> None:
        self.base, self.section, self.seed = base, section, seed
        self.random = random.Random(seed)
        self.folder = base.folder / "crash"
        self.out = self.folder / "out"
        self.server = server
        self.ledger = server or file_ledger(self.folder)
        self.reference = base.bundle(kind)
        self.wanted = stable_hashes(self.reference)
        self.recipe = self.base.inputs / f"tiny-{kind}.yaml"
        self.records = sorted((p.name for p in (self.reference / ".stages").glob("*.json")), key=_place)

    def begin(self, kept: int) -> None:
        """A run that was stopped after its first ``kept`` stage records."""
        emptied(self.folder)
        if self.server:
            with _connected(self.server) as connection:
                connection.exec_driver_sql("DROP SCHEMA public CASCADE")
                connection.exec_driver_sql("CREATE SCHEMA public")
        if not kept:
            return
        shutil.copytree(self.reference, self.out)
        for name in self.records[kept:]:
            (self.out / ".stages" / name).unlink()
        for name in ("manifest.json", "results.json", "report.html", "recipe.yaml"):
            (self.out / name).unlink()
        self._remove_unfinished(self.records[:kept])

    def _remove_unfinished(self, kept: list[str]) -> None:
        """Remove what the stages whose records are gone had written."""
        for stage, folder in (
            ("export-openvino-fp32", "fp32"),
            ("export-openvino-int8", "int8"),
            ("samples", "samples"),
        ):
            if f"{stage}.json" not in kept:
                shutil.rmtree(self.out / folder, ignore_errors=True)

    def apply(self, before: Callable[[], None] | None = None, kill_after_s: float | None = None) -> CaseEnd:
        """`compress apply` into ``out``, with ``before`` run first in its process, or else what names the sender of a
        signal that nobody here has sent."""
        arguments = ["apply", str(self.recipe), "--out", str(self.out)]
        work = command(arguments, self.folder, watched=False, before=before or name_sender, ledger=self.ledger)
        return forked(work, self.folder / "log", APPLY_LIMIT_S, kill_after_s)

    def after_kill(self) -> list[str]:
        """What is wrong with the folder as the kill left it."""
        faults = [
            f"partial {name}" for name, digest in stable_hashes(self.out).items() if self.wanted.get(name) != digest
        ]
        for path in self.out.rglob("*.json") if self.out.is_dir() else ():
            if path.name.startswith(PART):
                continue
            try:
                json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                faults.append(f"partial {path.name}")
        if (self.out / "manifest.json").is_file():
            faults += _changed(self.out)
        return faults

    def after_next(self, ended: CaseEnd) -> list[str]:
        """What is wrong after the run that followed."""
        faults = [f"the next run: {text}" for text in problems(ended, {0})]
        if not faults and stable_hashes(self.out) != self.wanted:
            faults.append("the next run's files differ from an undisturbed run's")
        left = [p.relative_to(self.folder).as_posix() for p in self.folder.rglob(".part-*")]
        left += [f"tmp/{p.name}" for p in (self.folder / "tmp").iterdir() if not p.name.startswith("torchinductor")]
        faults += [f"left behind: {name}" for name in left[:3]]
        return faults + _ledger_faults(self.ledger, self.out)

    def case(
        self,
        kind: str,
        kept: int,
        how: str,
        before: Any = None,
        kill_after_s: float | None = None,
        codes: Collection[int] = (0, 2, -signal.SIGKILL),
    ) -> CaseEnd:
        """One case: a disturbed run, ended in one of ``codes``; a look at what it left; the next run; a look again."""
        self.begin(kept)
        disturbed = self.apply(before, kill_after_s)
        faults = self.after_kill()
        if disturbed.code != -signal.SIGKILL or disturbed.code not in codes:
            faults += problems(disturbed, codes)
        faults += self.after_next(self.apply())
        self.section.add(kind, faults, f"seed {self.seed}, after {kept} stage records, {how}", disturbed)
        return disturbed

    # --- the kinds of disturbance ------------------------------------------------------------------------------

    def random_kills(self, count: int, whole: float, kind: str = "SIGKILL at a random moment") -> None:
        """SIGKILL after a random time; a share ``whole`` of the runs begins at nothing, the others in the middle."""
        seconds: dict[int, float] = {}
        for _ in range(count):
            kept = 0 if self.random.random() < whole else self.random.randint(3, len(self.records))
            if kept not in seconds:
                self.begin(kept)
                seconds[kept] = self.apply().seconds
            at = self.random.uniform(0, seconds[kept])
            self.case(kind, kept, f"{at:.2f} s", kill_after_s=at)

    def operations(self, kept: int, most: int | None, kinds: dict[str, Callable[[], None]]) -> None:
        """``kinds`` of fault at every file operation (``most``: evenly spread ones) of a run after ``kept`` stages."""
        self.begin(kept)
        self.apply(lambda: _at_operation(self.folder, 0, lambda: None))
        total = int((self.folder / "operations").read_text())
        numbers = range(1, total + 1) if most is None or total <= most else spread(total, most)
        for kind, act in kinds.items():
            for n in numbers:
                how = f"file operation {n} of {total}"
                self.case(
                    f"{kind} at a file operation", kept, how, lambda n=n, act=act: _at_operation(self.folder, n, act)
                )

    def statements(self, kept: int) -> None:
        """SIGKILL before every SQL statement of the ledger."""
        self.begin(kept)
        self.apply(lambda: _at_statement(self.folder, 0))
        total = int((self.folder / "statements").read_text())
        kind = f"SIGKILL at a statement of the ledger{' on PostgreSQL' if self.server else ''}"
        for n in range(1, total + 1):
            how = f"statement {n} of {total}"
            self.case(kind, kept, how, lambda n=n: _at_statement(self.folder, n))

    def signals(self, count: int) -> None:
        """SIGINT and SIGTERM after a random time; how long the end takes is a figure."""
        for i in range(count):
            number, code = ((signal.SIGINT, 130), (signal.SIGTERM, 143))[i % 2]
            kept = self.random.choice([0, 3, 4])
            at = self.random.uniform(0.5, 8)
            kind, how = f"{number.name} at a random moment", f"{at:.2f} s"
            ended = self.case(kind, kept, how, lambda n=number, t=at: _signal_in(t, n), codes=(0, code))
            late = ended.seconds - at
            if ended.code == code and late > self.section.figures.get(LONGEST, 0.0):
                self.section.tell(LONGEST, round(late, 2))


def run(base: Base, section: Section, kills: int, seed: int, most: int | None = None, whole: float = 0.1) -> None:
    """Random kills, faults at file operations of the end of a run, kills at the ledger's statements, signals."""
    crashes = Crashes(base, section, seed)
    end = len(crashes.records)
    kill = {"SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL)}
    crashes.operations(end, most, kill | {name: _raises(number) for name, number in ERRORS.items()})
    crashes.operations(end - 2, most, kill)
    crashes.operations(0, ALL_STAGES if most is None else most, {"full disk": _raises(ERRORS["full disk"])})
    crashes.statements(end)
    _on_postgresql(base, section, seed, end)
    crashes.random_kills(kills, whole)
    crashes.signals(max(2, kills // 5))


def _on_postgresql(base: Base, section: Section, seed: int, kept: int) -> None:
    """Kills at the ledger's statements once more, on a server; told as not tried where there is none."""
    try:
        with postgresql.server() as url:
            Crashes(base, section, seed, server=url).statements(kept)
    except FileNotFoundError as error:
        section.tell("ledger on PostgreSQL", f"not tried: {error}")


def spread(total: int, most: int) -> list[int]:
    """``most`` numbers from 1 to ``total``, evenly apart."""
    return sorted({1 + i * total // most for i in range(most)})


def _place(record: str) -> int:
    return next(i for i, start in enumerate(ORDER) if record.startswith(start))


def _raises(number: int) -> Callable[[], None]:
    def act() -> None:
        raise OSError(number, os.strerror(number))

    return act


def _at_operation(folder: Path, n: int, act: Callable[[], None]) -> None:
    """``act`` before the ``n``-th write, rename or removal below ``folder`` (none: 0); counts them in a file."""
    root, counter, done = str(folder), folder / "operations", 0
    handle = os.open(counter, os.O_WRONLY | os.O_CREAT)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal done
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not (writes or event in ("os.rename", "os.remove", "os.mkdir", "tempfile.mkdtemp")):
            return
        if not isinstance(args[0], str | bytes | os.PathLike) or not os.fsdecode(args[0]).startswith(root):
            return
        done += 1
        os.pwrite(handle, str(done).encode(), 0)
        if done == n:
            act()

    sys.addaudithook(hook)


def _at_statement(folder: Path, n: int) -> None:
    from sqlalchemy import Engine, event

    counter, done = folder / "statements", 0

    @event.listens_for(Engine, "before_cursor_execute")
    def count(*args: Any) -> None:
        nonlocal done
        done += 1
        counter.write_text(str(done))
        if done == n:
            os.kill(os.getpid(), signal.SIGKILL)


def _signal_in(seconds: float, number: signal.Signals) -> None:
    """The signal comes from a process of its own, which no lock or native call of this one holds up."""
    victim = os.pidfd_open(os.getpid())
    if not os.fork():
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):  # it has ended before
            signal.pidfd_send_signal(victim, number)
        os._exit(0)


def stable_hashes(folder: Path) -> dict[str, str]:
    """Files whose bytes follow from the recipe alone."""
    from compress.files import sha256_file

    files = [p for p in folder.rglob("*") if p.is_file() and ".stages" not in p.parts] if folder.is_dir() else []
    return {
        p.relative_to(folder).as_posix(): sha256_file(p)
        for p in files
        if p.name not in TOLD and not any(part.startswith(".part-") for part in p.relative_to(folder).parts)
    }


def _changed(folder: Path) -> list[str]:
    from compress.bundle.open import open_bundle

    return [f"under a finished manifest: {line}" for line in open_bundle(folder).changed_files()]


@contextlib.contextmanager
def _connected(url: str) -> "Iterator[Connection]":
    from sqlalchemy import create_engine, make_url

    given = make_url(url)
    engine = create_engine(given.set(drivername=DRIVERS[given.drivername]))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _ledger_faults(url: str, out: Path) -> list[str]:
    """Rows of the finished run: all, once; of any other run all or none."""
    with _connected(url) as connection:
        ask = connection.exec_driver_sql
        if url.startswith("sqlite") and (whole := ask("PRAGMA integrity_check").scalar()) != "ok":
            return [f"the ledger is damaged: {whole}"]
        counts = dict(map(tuple, ask("SELECT run, count(*) FROM measurements GROUP BY run")))
        lone = ask("SELECT count(*) FROM measurements WHERE id NOT IN (SELECT id FROM details)").scalar()
    results = json.loads((out / "results.json").read_text()) if (out / "results.json").is_file() else {}
    rows = max(counts.values(), default=0)
    faults = [f"{n} of {rows} rows of run {name}" for name, n in counts.items() if n != rows]
    faults += ["rows without details"] if lone else []
    return faults if results.get("run") in counts else [*faults, "the finished run is not in the ledger"]
