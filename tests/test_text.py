"""Words that are not ours: no terminal obeys them, no line is forged with them, no markup comes out of them."""

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

import compress
from compress.cli.commands import app
from compress.cli.output import show
from compress.errors import InputError
from compress.ledger.compare.check_report import CheckResult, Verdict, junit_xml, markdown_summary
from compress.progress import Progress
from compress.text import markdown, one_line, printable

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "[/x]",
        "[red]a",
        "\x1b]0;title\x07",
        "\x1b[2J",
        "a\n9 files verified",
        "\r",
        "\x9b31m",
        "\u202egnp.exe",
        "\u2028",
        "\0",
    ]
)


@given(WORDS)
def test_what_is_printable_is_one_line_and_obeyed_by_nobody(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable() and len(shown.splitlines()) <= 1
    assert text.isprintable() is (shown == text)


@given(st.lists(WORDS, max_size=9).map(" ".join), st.integers(8, 60))
@example("one two three four", 12)
def test_a_strangers_words_are_cut_after_a_word(text: str, longest: int) -> None:
    shown = one_line(text, longest)
    assert shown.isprintable() and len(shown) <= longest
    whole = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    if len(whole) <= longest:
        assert shown == whole
    elif " " in whole[: longest - 3]:
        assert shown.endswith("...") and whole.startswith(shown[:-3] + " ")


@given(st.lists(WORDS, min_size=1, max_size=3))
def test_an_error_has_as_many_lines_as_it_was_given(lines: list[str]) -> None:
    assert str(InputError(*lines)).split("\n") == [printable(line) for line in lines]


@given(WORDS, WORDS)
def test_tables_json_and_progress_show_names_and_obey_none(name: str, title: str) -> None:
    class Found:
        def table(self) -> Table:
            table = Table(title=title)
            table.add_row(name)
            return table

        def to_json(self) -> dict[str, str]:
            return {name: title}

    for as_json in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            printed = io.StringIO()
            patch.setattr("sys.stdout", printed)
            show(Found(), as_json=as_json)
        assert all(c.isprintable() or c == "\n" for c in printed.getvalue())
        assert not as_json or json.loads(printed.getvalue()) == {name: title}
    printed = io.StringIO()
    progress = Progress("lines", printed)
    with progress.stage(name):
        progress.say(title)
    lines = printed.getvalue().split("\n")
    assert all(line.isprintable() for line in lines) and len(lines) == 3 + bool(title)


def check(name: str) -> CheckResult:
    verdict = Verdict(name, name, name, "max_psnr_drop", 0.1, 0.2, 24.0, 23.8, None, None, met=False)
    return CheckResult(
        name, name, [verdict, Verdict(name, None, None, "x", 1, None, None, None, None, None, None, name)]
    )


@given(WORDS)
def test_reports_of_a_check_hold_any_name(name: str) -> None:
    cases = list(xml.fromstring(junit_xml(check(name)).encode()).iter("testcase"))
    assert [case.get("classname") for case in cases] == [printable(name)] * 2
    lines = markdown_summary(check(name)).splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines[2:]] == [8] * 4
    assert "<" not in markdown(name) and not re.search(r"(?<!\\)[\[\]`*]", markdown(name).replace("\\\\", ""))
    console = Console(file=io.StringIO(), width=200)
    console.print(check(name).table())
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("photos_validation", "photos_validation"),
        ("_it_ b__", r"\_it\_ b\_\_"),
        ("https://evil.example", "https:&#47;/evil.example"),
        ("WWW.evil.example", "WWW&#46;evil.example"),
        ("@someone", "&#64;someone"),
    ],
)
def test_no_link_mention_or_emphasis_comes_out_of_a_name(name: str, shown: str) -> None:
    assert markdown(name) == shown


NAMES = ["[/x]", "\x1b]0;owned\x07", "a\nbundle: 9 files verified", "\x9b2J", "\u202e"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["verify", "report", "sbom", "demo", "compare"])
def test_a_manifest_forges_no_line(tmp_path: Path, name: str, command: str) -> None:
    manifest: dict[str, Any] = {"schema_version": 1, "artifacts": [], "files": []}
    manifest["files"].append({"path": f"../{name}", "bytes": 0, "sha256": "0" * 64})
    folder = tmp_path / "[/x]"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    more = {"report": ["-o", str(tmp_path / "page.html")], "compare": [str(folder)]}
    done = CliRunner().invoke(app, [command, str(folder), *more.get(command, [])])
    assert (done.exit_code, done.stdout) == (5, "")
    assert done.stderr == f"{folder}/manifest.json: ../{printable(name)} points outside the bundle: do not use it\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_s_name_forges_no_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": 1, "artifacts": [], "files": []}))
    (tmp_path / name.replace("/", "")).write_text("x")
    done = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert done.exit_code == 5
    assert done.stderr.splitlines()[-1] == f"{tmp_path}/{printable(name.replace('/', ''))}: not in the manifest"


# --- options and arguments ------------------------------------------------------------------------------------

COMMANDS_ONLY = (
    *("cli", "ledger", "search", "sweep", "elir/train", "pipeline/workers", "restore/card.py", "targets/browser"),
    "targets/survey",
)
"""What Python's callers do not reach."""


def _texts(path: Path) -> Iterator[str]:
    """Every text in a source file but docstrings; of an f-string, what stands between its values."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    skipped = {id(part) for node in strings for part in node.values}
    skipped |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    yield from ("".join(part.value if isinstance(part, ast.Constant) else "..." for part in s.values) for s in strings)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def test_messages_name_arguments_and_options_in_brackets() -> None:
    """A caller from Python has no ``--k-steps``: a message names the argument, and the option beside it."""
    root = Path(compress.__file__).parent
    wrong = []
    for path in root.rglob("*.py"):
        if path.relative_to(root).as_posix().startswith(COMMANDS_ONLY):
            continue
        for text in filter(lambda text: " " in text, _texts(path)):
            left = re.sub(r"`[^`]*`", "", text)
            while (shorter := re.sub(r"\([^()]*\)", "", left)) != left:
                left = shorter
            if re.search(r"(?<![\w-])--[a-z]", left):
                wrong.append(f"{path.relative_to(root)}: {text}")
    assert not wrong
