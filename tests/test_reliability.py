"""The harness itself: it sees hangs, crashes and writes outside; and a few hundred of its cases find nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compress.errors import CompressError
from tests.reliability import coverage
from tests.reliability.base import Base, make_base
from tests.reliability.process import OUTSIDE, CaseEnd, forked, name_sender, watch
from tests.reliability.section import Section, problems
from tests.reliability.table import BEGIN, END, tables, write_table

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "tests/kept/release_0_1_0.zip"


@pytest.mark.parametrize(
    ("ended", "message"),
    [
        (CaseEnd(0, "x", "", 1), []),
        (CaseEnd(2, "", "x.yaml:1: wrong", 1), []),
        (CaseEnd(-11, "", "", 1), ["killed by signal 11"]),
        (CaseEnd(-9, "", "", 60, hung=True), ["hang: not ended after 60 s"]),
        (CaseEnd(1, "", "KeyError: this is a bug", 1), ["exit 1: KeyError: this is a bug"]),
        (CaseEnd(2, "", "Traceback\nKeyError: x", 1), ["traceback: KeyError: x"]),
        (CaseEnd(2, "", "", 1), ["exit 2 without a word"]),
        (CaseEnd(2, "rows", "wrong", 1), ["exit 2 with results on stdout: rows"]),
        (CaseEnd(OUTSIDE, "", "WATCH: open ('/etc/x',)", 1), ["WATCH: open ('/etc/x',)"]),
    ],
)
def test_what_counts_as_a_fault(ended: CaseEnd, message: list[str]) -> None:
    assert problems(ended, {0, 2}) == message


def test_a_case_that_hangs_is_ended(tmp_path: Path) -> None:
    ended = forked(lambda: time.sleep(60), tmp_path, 0.3)
    assert (ended.code, ended.hung) == (-signal.SIGKILL, True) and ended.seconds < 10


def test_a_case_that_is_killed_at_once(tmp_path: Path) -> None:
    ended = forked(lambda: time.sleep(60), tmp_path / "log", 30, kill_after_s=0.0)
    assert (ended.code, ended.hung) == (-signal.SIGKILL, False)


def test_a_case_can_be_interrupted_from_a_harness_in_the_background(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ended = forked(lambda: os.kill(os.getpid(), signal.SIGINT) or time.sleep(30), tmp_path, 20)  # type: ignore[func-returns-value]
    finally:
        signal.signal(signal.SIGINT, before)
    assert not ended.hung and "KeyboardInterrupt" in ended.err


def test_a_signal_of_nobody_s_names_its_sender(tmp_path: Path) -> None:
    def case() -> None:
        name_sender()
        victim = os.pidfd_open(os.getpid())
        sender = "import signal, sys; signal.pidfd_send_signal(int(sys.argv[1]), signal.SIGTERM)"
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        subprocess.run([sys.executable, "-c", sender, str(victim)], pass_fds=[victim], check=False)
        time.sleep(20)

    ended = forked(case, tmp_path, 30)
    assert ended.code == 143 and not ended.hung
    (result,) = problems(ended, {143})
    assert result.startswith("SENDER: SIGTERM came from process ")


def test_a_case_s_output_and_code_come_back(tmp_path: Path) -> None:
    ended = forked(lambda: print("out") or sys.exit(5), tmp_path, 30)  # type: ignore[func-returns-value]
    assert (ended.code, ended.out, ended.hung) == (5, "out\n", False)


@pytest.mark.parametrize(
    "act",
    [
        lambda: Path("/opt/outside").write_text("x"),
        lambda: os.rename("/opt/a", "/opt/b"),
        lambda: os.system("true"),
        lambda: subprocess.run(["true"], check=False),
    ],
)
def test_a_write_outside_and_a_started_program_are_seen(tmp_path: Path, act: object) -> None:
    def case() -> None:
        watch(tmp_path / "inside")
        act()  # type: ignore[operator]

    assert forked(case, tmp_path, 30).code == OUTSIDE


def _open_itself(link: Path) -> None:
    with contextlib.suppress(OSError):
        os.open(link, os.O_WRONLY | os.O_NOFOLLOW)


@pytest.mark.parametrize(
    ("act", "seen"),
    [
        (lambda link: link.write_text("x"), True),
        (lambda link: link.unlink(), False),
        (_open_itself, False),
        (lambda link: os.replace(link.with_name("new"), link), False),
        (lambda link: link.with_name("other").symlink_to("/opt/outside"), False),
    ],
)
def test_what_goes_through_a_link_is_seen_and_the_link_itself_is_inside(tmp_path: Path, act: Any, seen: bool) -> None:
    link = tmp_path / "inside/link"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "outside")
    link.with_name("new").write_text("x")

    def case() -> None:
        watch(link.parent)
        act(link)

    assert forked(case, tmp_path / "log", 30).code == (OUTSIDE if seen else 0)


def test_a_write_inside_is_let_through(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()

    def case() -> None:
        watch(inside)
        (inside / "x").write_text("x")

    assert forked(case, tmp_path, 30).code == 0


def test_the_table_counts_cases_and_findings(tmp_path: Path) -> None:
    section = Section("crash", tmp_path / "journal.jsonl")
    section.add("SIGKILL", [], "seed 0", CaseEnd(-9, "", "", 1))
    section.add("SIGKILL", ["partial a"], "seed 0", CaseEnd(-9, "", "", 1))
    section.tell("seconds", 3.2)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nlast run\n{END}\nafter\n")
    write_table(page, [tmp_path / "journal.jsonl"])
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "last run" not in text
    assert "| crash | SIGKILL | 2 | 1 | -9: 2 |" in text and "| crash: seconds | 3.2 |" in text
    entries = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    finding = {"section": "crash", "what": "x", "fixed": "", "test": ""}
    assert "| crash | 2 | 1 | 2 | 1 | 1 |" in tables(entries, [finding, {**finding, "fixed": "so"}])


def kept_base(folder: Path) -> Base:
    """The kept bundle stands for a finished one, so that nothing is compressed here."""
    with zipfile.ZipFile(KEPT) as archive:
        archive.extractall(folder)
    (folder / "bundle").rename(folder / "bundle-openvino")
    return make_base(folder)


@pytest.mark.parametrize("name", coverage.PARSERS)
def test_a_fuzzed_parser_reads_or_refuses_its_seeds(tmp_path: Path, name: str) -> None:
    coverage.write_seeds(kept_base(tmp_path), name, tmp_path / "seeds")
    file, parse = coverage.PARSERS[name]
    for seed in (tmp_path / "seeds").iterdir():
        with contextlib.suppress(CompressError):
            parse(seed.rename(tmp_path / file))


def test_without_the_fuzzer_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    section = Section("coverage")
    coverage.run(Base(tmp_path), section, 1, 0)
    assert section.figures == {"fuzzing by coverage": "not tried: pip install atheris"} and section.cases == 0


@pytest.mark.slow
def test_hostile_input(tmp_path: Path) -> None:
    """One seed, so that the same tree passes or fails; other seeds are the nightly runs' (docs/reliability.md)."""
    kept_base(tmp_path)
    journal = tmp_path / "journal.jsonl"
    options = ["--sections", "hostile", "--cases", "250", "--skip", "ONNX", "PTE", "--seed", "1"]
    command = [sys.executable, "-m", "tests.reliability", *options, "--work", str(tmp_path), "--journal", str(journal)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(journal.read_text().splitlines()) >= 200
