"""`--help` of every command: whole sentences, an example that parses, nothing lost on the way to the terminal."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from compress.cli.commands import LISTS, YAML_KINDS, app
from compress.cli.options import TaskName
from compress.cli.panels import PANELS
from compress.cli.yaml_kinds import SCHEMAS


def tree(command: Any = None, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group, with the names that lead to it; first the whole program."""
    command = command or get_command(app)
    yield names, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from tree(inner, (*names, name))


COMMANDS = dict(tree())
EACH = pytest.mark.parametrize("names", COMMANDS, ids=lambda names: " ".join(names) or "compress")


def paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n")]


def described(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What is described, and by which text: the command itself, its arguments, its options."""
    command = COMMANDS[names]
    yield "the command", paragraphs(command.help or "")[0]
    for parameter in command.params:
        yield parameter.name, " ".join((parameter.help or "").split())


@EACH
def test_every_text_is_a_sentence(names: tuple[str, ...]) -> None:
    for what, text in described(names):
        assert re.match(r"[A-Z]|`compress ", text), f"{what}: begins small: {text!r}"
        assert text.endswith("."), f"{what}: has no full stop: {text!r}"
        assert len(text.split()) >= 3, f"{what}: is not a sentence: {text!r}"
        assert not re.match(r"(Of|In|For|By|From|Before|Whose) ", text), f"{what}: has to be decoded: {text!r}"


@EACH
def test_every_command_has_an_example_that_parses(names: tuple[str, ...]) -> None:
    examples = [part for part in paragraphs(COMMANDS[names].help or "") if part.startswith("Example: compress ")]
    assert len(examples) == 1, "one example, in a paragraph of its own"
    words = shlex.split(examples[0].removeprefix("Example: compress "))
    called: tuple[str, ...] = ()
    while (*called, words[0]) in COMMANDS:
        called, words = (*called, words[0]), words[1:]
        if not words:
            break
    assert called[: len(names)] == names or COMMANDS[called].help == COMMANDS[names].help
    COMMANDS[called].make_context(" ".join(called), words)


@EACH
def test_where_to_write_has_one_name(names: tuple[str, ...]) -> None:
    for parameter in COMMANDS[names].params:
        assert {"-o", "--out"} & {*parameter.opts} in (set(), {"-o", "--out"}), parameter.name


@EACH
def test_no_word_is_lost_in_the_terminal(names: tuple[str, ...]) -> None:
    """Rich takes `[x]` for its markup."""
    shown = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "300"}).stdout
    flat = " ".join(shown.replace("│", " ").split())
    for what, text in described(names):
        assert text in flat, f"{what}: {text!r}"


@EACH
def test_flags_take_no_value_and_names_stay_whole(names: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "100"}).stdout
    assert "--help" in shown and "bool" not in shown
    flat = " ".join(re.sub(r"[│\s]+", " ", shown).split())
    listed = [task.value for task in TaskName] if "Task that the model is for" in flat else []
    assert not [task for task in listed if task not in re.findall(r"[a-z0-9_]+", shown)], "broken across lines"


def test_commands_stand_in_panels() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert re.findall(r"─ (\w+) ─", shown) == ["Options", *PANELS]


def test_the_names_that_help_lists_are_those_that_exist() -> None:
    assert list(SCHEMAS) == YAML_KINDS
    for kind in LISTS:
        assert CliRunner().invoke(app, ["ls", kind]).exit_code == 0


@pytest.mark.parametrize(
    ("args", "offered"), [(["ls", "recipe"], "recipes"), (["schema", "targets"], "target"), (["aply"], "apply")]
)
def test_the_nearest_name_is_offered(args: list[str], offered: str) -> None:
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 2
    assert f"did you mean {offered}?" in " ".join(done.stderr.replace("│", " ").replace("'", "").split()).lower()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("apply qat", {"qat_int8_sr"}),
        ("bench x --target x86-on", {"x86-onnxruntime"}),
        ("evaluate x --data photos_v", {"photos_validation"}),
        ("ls mod", {"models"}),
        ("valid", {"validate"}),
    ],
)
def test_a_shell_completes_names(typed: str, completed: set[str]) -> None:
    words = f"compress {typed}"
    environment = {
        "_COMPRESS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = CliRunner().invoke(app, [], prog_name="compress", env=environment)
    assert set(done.stdout.split()) == completed
