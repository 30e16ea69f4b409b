"""The rules of docs/architecture.md, read from the sources: who imports whom, no circles, names, and the page
itself."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import compress

ROOT = Path(compress.__file__).parent
TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "architecture.md"
GROUND = (
    *(
        "errors",
        "files",
        "folders",
        "hub",
        "surroundings",
        "native_work",
        "python_process",
        "tensors",
        "progress",
        "refusals",
        "quiet",
        "cache",
        "caller",
        "text",
    ),
)
"""The modules that stand alone below the first folder: nothing of ELIR is in them."""
FOLDERS = (
    *("ground", "recipe", "results", "data", "measure", "elir", "passes", "artifacts", "targets", "bundle", "report"),
    *("ledger", "pipeline", "search", "sweep", "restore", "package", "cli"),
)
"""The one rule: a folder imports itself and what stands to its left, inside functions and for types too."""
FACE = FOLDERS.index("cli")  # compress/__init__.py and __main__.py, which hand the whole on
HEAVY = {
    *("torch", "torchao", "openvino", "nncf", "onnx", "onnxruntime", "onnxscript", "executorch", "datasets", "numpy"),
    *("neural_compressor", "skimage", "PIL", "safetensors", "jinja2", "sqlalchemy", "alembic", "scipy", "pyarrow"),
    *("mlflow", "ray", "optuna", "fsspec", "huggingface_hub"),
}
SOURCES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def module(path: Path) -> str:
    """compress/elir/model.py -> compress.elir.model."""
    return ".".join(("compress", *path.with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module(path): path for path in SOURCES}


def place(name: str) -> int:
    """The index in FOLDERS of a module."""
    parts = name.split(".")[1:]
    if not parts or parts[0] == "__main__":
        return FACE
    first = parts[0]
    assert first in FOLDERS or first in GROUND, f"{name}: give {first} a place in FOLDERS and in docs/architecture.md"
    return 0 if first in GROUND else FOLDERS.index(first)


@cache
def tree_of(path: Path) -> tuple[ast.Module, tuple[ast.AST, ...]]:
    """A file's syntax tree, and every node of it. Parsed once: the tests below ask some ten thousand times."""
    tree = ast.parse((ROOT / path).read_text())
    return tree, tuple(ast.walk(tree))


def imports(path: Path, top_only: bool = False) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of this package, those inside functions and for types too, or of none of these."""
    tree, nodes = tree_of(path)
    for node in tree.body if top_only else nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import: write it from compress"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole == "compress.__version__":
                    continue  # stands in the face, and is there before anything is imported
                yield node.lineno, whole if whole in MODULES else str(node.module)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_folder_imports_only_from_its_left(path: Path) -> None:
    own = place(module(path))
    for line, name in imports(path):
        if name.split(".")[0] == "compress":
            assert place(name) <= own, f"compress/{path}:{line}: imports {name}, which is not to its left"


def test_every_folder_is_there_and_has_a_place() -> None:
    there = {path.parts[0] for path in SOURCES if len(path.parts) > 1}
    assert there == {*FOLDERS} - {"ground"}
    assert {path.stem for path in SOURCES if len(path.parts) == 1} == {*GROUND, "__init__", "__main__"}


def test_no_circle_of_modules() -> None:
    needs = {name: {other for _, other in imports(path) if other in MODULES} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle: {' -> '.join([*above[above.index(name) :], name])}"
        if name not in done:
            for other in needs[name] - {name}:
                visit(other, (*above, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


@cache
def names_of(path: Path) -> set[str]:
    """What a module defines or imports, wherever it does."""
    result: set[str] = set()
    for node in tree_of(path)[1]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            result.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            result.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            result |= {alias.asname or alias.name for alias in node.names}
    return result


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_find_what_they_name(path: Path) -> None:
    """Inside functions too, where nothing else looks before they run."""
    for node in tree_of(path)[1]:
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "compress":
            assert node.module in MODULES, f"compress/{path}:{node.lineno}: there is no {node.module}"
            for alias in node.names:
                known = f"{node.module}.{alias.name}" in MODULES or alias.name in names_of(MODULES[str(node.module)])
                assert known, f"compress/{path}:{node.lineno}: {node.module} has no {alias.name}"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_names_of_files(path: Path) -> None:
    names = [part.removesuffix(".py") for part in path.parts]
    gerunds = [name for name in names if name.endswith("ing")]
    assert not gerunds, f"compress/{path}: {gerunds[0]} is a gerund: name the thing, or what is done to it"
    assert len(names) < 2 or names[-1] != names[-2], f"compress/{path}: repeats its folder's name"


def test_tests_stand_where_their_sources_stand() -> None:
    lost = []
    for path in sorted(TESTS.rglob("test_*.py")):
        folder, name = path.relative_to(TESTS).parent, path.stem.removeprefix("test_")
        tested = ROOT / folder / name  # a module, or a folder as a whole
        if folder != Path() and not tested.with_suffix(".py").is_file() and not tested.is_dir():
            lost.append(f"tests/{folder}/{path.name}: compress/{folder} has no {name}: move it beside what it tests")
    assert not lost, "\n".join(lost)


# --- quick starts -----------------------------------------------------------------------------------------------


def loaded_at_start(*first: str) -> set[str]:
    """The modules of this package that loading some of them loads, with the packages above them."""
    todo, result = list(first), set[str]()
    while todo:
        name = todo.pop()
        if name in MODULES and name not in result:
            result.add(name)
            todo += [other for _, other in imports(MODULES[name], top_only=True) if other.startswith("compress")]
            todo += [name.rpartition(".")[0]] if "." in name else []
    return result


@pytest.mark.parametrize("name", sorted(loaded_at_start("compress.__main__", "compress.recipe.load")))
def test_no_heavy_library_where_the_command_line_starts(name: str) -> None:
    assert not HEAVY & {other.split(".")[0] for _, other in imports(MODULES[name], top_only=True)}


def test_a_recipe_is_checked_without_heavy_libraries() -> None:
    code = "import sys; from compress.recipe.load import load_recipe; load_recipe('int8_sr'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & {name.split(".")[0] for name in done.stdout.split()}


# --- docs/architecture.md ---------------------------------------------------------------------------------------


def test_the_picture_of_the_page_is_the_rule() -> None:
    line = next(line for line in PAGE.read_text().splitlines() if line.startswith("ground -> "))
    assert tuple(line.split(" -> ")) == FOLDERS


def test_the_table_of_the_page_has_every_folder() -> None:
    listed = re.findall(r"^\| `([\w/]+)/` \|", PAGE.read_text(), re.MULTILINE)
    folders = {str(path.parent) for path in SOURCES if path.name == "__init__.py"} - {"."}
    migrations = {name for name in folders if name.startswith("ledger/migrations")}
    assert sorted(listed) == sorted(folders - migrations)


def test_every_module_and_name_of_the_page_exists() -> None:
    """`folder/file.py` is a file; `name` after one, or `file.py: name`, is defined in it."""
    text = PAGE.read_text()
    files = [
        *re.findall(r"`((?!tests/)(?:\w+/)+\w+\.py)`", text),
        *re.findall(r"^# ((?:\w+/)+\w+\.py)$", text, re.MULTILINE),
    ]
    assert len(files) > 20
    assert not [name for name in files if not (ROOT / name).is_file()]
    blocks = re.findall(r"^# ((?:\w+/)+\w+\.py)\n((?:(?!#|```).*\n)+)", text, re.MULTILINE)
    pairs = [
        (file, name) for file, body in blocks for name in re.findall(r"^(?:class )?(\w+)\s*[(:]", body, re.MULTILINE)
    ]
    assert len(pairs) > 10
    for file, name in pairs:
        defined = {getattr(node, "name", None) for node in tree_of(Path(file))[0].body}
        assert name in defined, f"docs/architecture.md: {file} defines no {name}"
