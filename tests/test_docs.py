"""README and docs say what is true: commands and examples run, links and pages resolve, generated pages are current."""

import doctest
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MARKER = r"(?:<!-- not run by the tests: (?P<why>[^>]+) -->\n\n?)?"
FENCE = re.compile(MARKER + r"```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?compress (?P<rest>[a-z].*)$")
INLINE = re.compile(r"`compress ([a-z][^`]*)`")
SYNOPSIS = re.compile(r"[\[\]|…]|\.\.\.|\b[A-Z][A-Z_]+\b")
"""Placeholders: such a line says how a command is written, and cannot run as it stands."""


@dataclass(frozen=True)
class Command:
    """A command line of a page, without the program's name and without what the shell does with its output."""

    page: Path
    text: str
    why_not_run: str | None = None

    @property
    def id(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text[:60]}"


def _without_shell(text: str) -> str:
    return re.split(r" \||;| >|  +(?=\d)", text)[0].strip()


def _commands(page: Path) -> Iterator[Command]:
    """Commands of fenced blocks."""
    for block in FENCE.finditer(page.read_text(encoding="utf-8")):
        if block["language"] in ("yaml", "python", "text"):
            continue
        for line in block["text"].splitlines():
            if result := COMMAND.match(line):
                yield Command(page, _without_shell(result["rest"]), block["why"])


BLOCKS = [command for page in PAGES for command in _commands(page)]
INLINES = [Command(page, _without_shell(t)) for page in PAGES for t in INLINE.findall(page.read_text("utf-8"))]
GENERATED = ROOT / "docs/reference/cli.md"


def _resolve(words: list[str]) -> tuple[Any, list[str]]:
    """The command that ``words`` name, and the words after its name."""
    from compress.cli.commands import app

    command: Any = get_command(app)
    # Typer's own classes, which need not be click's.
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        inner = command.commands.get(words[0])
        assert inner is not None, f"no command {words[0]!r}"
        command, words = inner, words[1:]
    return command, words


@pytest.mark.parametrize("command", [c for c in (*BLOCKS, *INLINES) if c.page != GENERATED], ids=lambda c: c.id)
def test_commands_and_their_options_exist(command: Command) -> None:
    words = re.findall(r"[\w./-]+", command.text) if SYNOPSIS.search(command.text) else shlex.split(command.text)
    result, rest = _resolve(words)
    known = {option for parameter in result.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.split("=")[0] for word in rest if word.startswith("-") and not re.match(r"^-?-?\d", word)}
    assert given <= known | {"--help", "-h", "-"}, f"unknown options {sorted(given - known)}"


def test_every_command_is_documented() -> None:
    from compress.cli.commands import app

    top: Any = get_command(app)
    message = " ".join(page.read_text("utf-8") for page in PAGES if page != GENERATED)
    for name in top.commands:
        assert f"compress {name}" in message, f"compress {name} is on no page"


@pytest.fixture(scope="module")
def workspace(finished: Any, tiny_inputs: Path, photo: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the pages' commands run as written: a small bundle in place of the bundled model's."""
    from PIL import Image

    from compress.elir.checkpoint import load_checkpoint, save_checkpoint

    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(finished.folder, folder / "runs/int8_sr")
    shutil.copytree(finished.folder, folder / "runs/deblur")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    for name in ("calibration_pictures", "validation_pictures"):
        (folder / name).mkdir()
    for i in range(2):
        Image.fromarray(photo[i : i + 64, :64]).save(folder / f"validation_pictures/{i}.png")
    Image.fromarray(photo[:64, :64]).save(folder / "photo.jpg")
    save_checkpoint(load_checkpoint(tiny_inputs / "tiny.safetensors"), folder / "mine.safetensors", {})
    for page, name in (("tutorials/your-checkpoint.md", "mine.yaml"), ("tutorials/your-board.md", "mini-pc.yaml")):
        blocks = FENCE.finditer((ROOT / "docs" / page).read_text("utf-8"))
        text = next(block["text"] for block in blocks if block["language"] == "yaml")
        (folder / name).write_text(text, encoding="utf-8")
    return folder


RUN = [c for c in BLOCKS if c.why_not_run is None and not SYNOPSIS.search(c.text) and c.page != GENERATED]


@pytest.mark.parametrize("command", list({c.text: c for c in RUN}.values()), ids=lambda c: c.id)
def test_commands_run_as_written(
    command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from compress.cli.commands import app

    monkeypatch.chdir(workspace)
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{workspace / 'ledger.sqlite'}")
    monkeypatch.setenv("XDG_DATA_HOME", str(workspace / "data"))
    with pytest.raises(SystemExit) as ended:
        app(args=shlex.split(command.text), prog_name="compress")
    assert ended.value.code in (0, None), capfd.readouterr().err


def _docstrings() -> Iterator[doctest.DocTest]:
    """Examples of the package's docstrings. Modules without any are not imported."""
    for path in sorted((ROOT / "compress").rglob("*.py")):
        if ">>> " in path.read_text("utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield from (
                result for result in doctest.DocTestFinder().find(importlib.import_module(name)) if result.examples
            )


@pytest.mark.parametrize("example", _docstrings(), ids=lambda example: example.name)
def test_examples_of_docstrings_run(
    example: doctest.DocTest, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example)
    assert runner.summarize().failed == 0, capsys.readouterr().out


def test_what_is_meant_to_be_imported_has_examples() -> None:
    shown = {example.name for example in _docstrings()}
    assert {"compress.apply", "compress.open", "compress.elir.checkpoint.load_checkpoint"} <= shown
    assert {f"compress.restore.source.Source.{name}" for name in ("restore", "evaluate", "bench")} <= shown


def test_the_python_of_the_reference_page_runs(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    blocks = FENCE.finditer((ROOT / "docs/reference/python.md").read_text("utf-8"))
    exec("\n".join(block["text"] for block in blocks if block["language"] == "python"), {})
    assert (workspace / "restored.png").is_file()


WHOLE_YAML = [
    (page, block["text"])
    for page in PAGES
    for block in FENCE.finditer(page.read_text("utf-8"))
    if block["language"] == "yaml" and block["text"].startswith("version: 1")
]


@pytest.mark.parametrize(("page", "text"), WHOLE_YAML, ids=lambda value: value.name if isinstance(value, Path) else "")
def test_whole_yaml_files_are_valid(
    page: Path, text: str, tmp_path: Path, tiny_elir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from compress.cli.yaml_kinds import check_file
    from compress.elir.checkpoint import save_checkpoint

    monkeypatch.chdir(tmp_path)
    for folder, count in (("calibration_pictures", 8), ("validation_pictures", 2), ("low", 2), ("high", 2)):
        Path(folder).mkdir()
        for i in range(count):
            Image.effect_noise((512, 512), 50).save(f"{folder}/{i}.png")
    save_checkpoint(tiny_elir, Path("mine.safetensors"), {})
    Path("page.yaml").write_text(text, encoding="utf-8")
    check_file("./page.yaml")


def test_every_key_of_a_recipe_is_explained() -> None:
    from compress.recipe.schema import Recipe

    text = (ROOT / "docs/recipes.md").read_text("utf-8")
    assert [f"`{name}`" for name in Recipe.model_fields] == re.findall(r"^\| (`\w+`) \|", text, re.MULTILINE)[:13]


def test_every_target_and_set_is_listed() -> None:
    from compress.recipe.library import names

    for page, kind in (("devices", "targets"), ("data", "calibration")):
        text = (ROOT / f"docs/{page}.md").read_text("utf-8")
        assert not [name for name in names(kind) if f" {name} " not in text.replace("`", " ")]


def test_every_kind_of_degradation_is_explained() -> None:
    from typing import get_args

    from compress.recipe.degradation import Degradation

    kinds = [step.model_fields["kind"].default for step in get_args(get_args(Degradation)[0])]
    text = (ROOT / "docs/data.md").read_text("utf-8")
    assert len(kinds) > 8 and not [kind for kind in kinds if f"| `{kind}` |" not in text]


def test_every_description_of_a_key_is_a_sentence() -> None:
    from compress.cli.yaml_kinds import SCHEMAS
    from compress.results.document import Results

    for schema in (*SCHEMAS.values(), Results):
        document = schema.model_json_schema()
        for model in (document, *document["$defs"].values()):
            for key, about in model.get("properties", {}).items():
                text = about.get("description", "What has none. Its name says it.")
                assert re.fullmatch(r"[A-Z].*\.", text) and len(text.split()) >= 2, f"{model['title']}.{key}: {text!r}"


LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]+)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        assert path.exists(), f"{target} does not exist"
        if anchor and path.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor[1:] in slugs, f"{target} has no heading {anchor}"


def test_the_changelog_has_a_dated_release() -> None:
    """What comes after the newest release stands on top."""
    from compress import __version__

    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    releases = [heading for heading in headings if heading != "Unreleased"]
    assert headings[0] in ("Unreleased", releases[0]) and headings.count("Unreleased") <= 1
    assert re.fullmatch(re.escape(__version__) + r" \(\d{4}-\d\d-\d\d\)", releases[0])


def test_pages_are_short() -> None:
    lengths = {page: len(page.read_text("utf-8").splitlines()) for page in PAGES if page.parent.name != "reference"}
    assert not {page.name: n for page, n in lengths.items() if n > 200}, "a page of more than 200 lines is two pages"


def test_generated_pages_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "docs/make_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_site_builds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").is_file() and (tmp_path / "reference/python/index.html").is_file()


def test_the_tables_are_of_their_results() -> None:
    sys.path.append(str(ROOT / "docs"))
    try:
        from make_tables import BLOCK, KEPT, MARK, PAGE, shared_table, table
    finally:
        sys.path.pop()
    readme = (ROOT / "README.md").read_text()
    assert BLOCK.findall(readme) == [table()], "run `python docs/make_tables.py BUNDLE`"
    assert PAGE.read_text().partition(MARK)[2] == shared_table(), "run `python docs/make_tables.py`"
    results = json.loads(KEPT.read_text())
    ratios = {
        entry["artifact"]: entry["speedup_vs"]["fp32"]["value"]
        for entry in results["performance"]
        if entry["artifact"].endswith("-int8") and entry["speedup_vs"]
    }
    assert len(ratios) == 3 and all(f" {ratio:.2f}x " in readme.split(table())[1] for ratio in ratios.values())


def test_every_picture_is_made_by_the_one_command() -> None:
    makers = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("make_*.py"))
    pictures = [path.name for path in (ROOT / "docs/images").iterdir()]
    assert len(pictures) > 10 and not [name for name in pictures if f'{name}"' not in makers]
    # A test before may have set it for its own children: it keeps a script from what lies beside it.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "docs/make_pictures.py", "--help"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "a bundle of the recipe int8_sr" in done.stdout, done.stderr
