"""The import rule of docs/architecture.md, read from the sources: imports only go down, siblings stay apart."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import compress

ROOT = Path(compress.__file__).parent
LAYERS = [
    {"__init__", "__main__"},
    {"cli"},
    {"ledger_cli", "targets_cli", "supply_cli", "sweep_cli", "model_cli", "search_cli"},
    {"sweep"},
    {"pipeline", "training", "comparison", "reporting", "tracking", "sensitivity", "search"},
    {"recording"},
    {"fallback"},
    {"bundling", "checking", "card", "surveying", "probing"},
    {"models"},
    {"evaluation", "restoring", "results", "plan", "measuring", "profiling", "reaching"},
    {"training_log", "training_validation", "judging"},
    {
        "restorer",
        "artifacts",
        "report",
        "doctor",
        "browsing",
        "demo",
        "emulating",
        "compiling",
        "ssh_benching",
        "signing",
        "sbom",
    },
    {"bundle", "benching", "bench_worker", "profile_worker", "goals", "stages", "engine"},
    {"recipe", "ledger_options", "cli_options"},
    {"passes", "export", "runtime", "targets", "measure", "ledger"},
    {"elir", "data", "tools"},
    {"recipe_paths"},
    {"lpips", "validation", "training_schema", "folders"},
    {"schema", "guard", "progress", "quiet", "showing", "manifest"},
    {"target_parts", "recipe_parts"},
    {"degradation"},
    {"library"},
    {"files", "yaml_nodes", "noise", "tensors", "python_process", "surroundings", "about"},
    {"errors"},
]
LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}
HEAVY = {"torch", "torchao", "openvino", "nncf", "onnx", "onnxruntime", "onnxscript", "executorch", "datasets"}
HEAVY |= {
    "neural_compressor",
    "skimage",
    "PIL",
    "numpy",
    "safetensors",
    "jinja2",
    "sqlalchemy",
    "alembic",
    "scipy",
    "pyarrow",
    "mlflow",
    "ray",
    "optuna",
    "fsspec",
}
LIGHT = ["__init__", "__main__", "cli", "guard", "library", "yaml_nodes", "recipe", "validation", "schema", "progress"]
LIGHT += [
    "degradation",
    "target_parts",
    "errors",
    "files",
    "folders",
    "doctor",
    "passes/__init__",
    "passes/settings",
    "elir/__init__",
]
LIGHT += [
    "data/__init__",
    "ledger_cli",
    "targets_cli",
    "model_cli",
    "search_cli",
    "cli_options",
    "supply_cli",
    "sweep_cli",
    "ledger_options",
    "tools/__init__",
    "showing",
    "training_schema",
]
SOURCES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imported(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of every import, those inside functions and type checks too."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import: write it from compress"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def unit(parts: tuple[str, ...]) -> str:
    """The module or package below ``compress`` that a path or dotted name belongs to."""
    return parts[0].removesuffix(".py") if parts and parts[0].removesuffix(".py") in LEVEL else "__init__"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_go_down(path: Path) -> None:
    name = path.parts[0].removesuffix(".py")
    assert name in LEVEL, f"{path}: give {name} a layer in LAYERS and in docs/architecture.md"
    for line, dotted in imported(path):
        if not dotted.startswith("compress."):
            continue
        other = unit(tuple(dotted.split(".")[1:]))
        if other in (name, "__init__") and (other == name or name in ("cli", "__main__")):
            continue
        if dotted == "compress.__version__":
            continue
        assert LEVEL[other] > LEVEL[name], f"compress/{path}:{line}: imports {dotted}, which is not below {name}"


def test_every_layer_is_used() -> None:
    present = {path.parts[0].removesuffix(".py") for path in SOURCES}
    assert set(LEVEL) - present == set()


@pytest.mark.parametrize("name", LIGHT)
def test_no_heavy_library_at_module_level(name: str) -> None:
    top: list[str] = []
    for node in ast.parse((ROOT / f"{name}.py").read_text()).body:
        if isinstance(node, ast.Import):
            top += [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            top.append(str(node.module).split(".")[0])
    assert not HEAVY & set(top)


def test_a_recipe_is_checked_without_heavy_libraries() -> None:
    code = "import sys; from compress.recipe import load_recipe; load_recipe('int8_sr'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & {name.split(".")[0] for name in done.stdout.split()}
