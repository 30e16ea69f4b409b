"""ExecuTorch's runtime without its compiler: who only runs a .pte imports torch and one library.

``executorch.extension.pybindings.portable_lib`` imports ``executorch.exir`` for the class of one warning, and with it
TorchDynamo, TorchInductor, torchao and SymPy: 3.5 s and 135 MB in every process that measures or tries an artifact,
where they would count as the artifact's own memory. The runner of devices takes this file along: Python 3.8.
"""

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Iterator

COMPILER = "executorch.exir"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Inside the block, ``executorch.exir`` is an empty package with the real one's submodules; after it, it is not
    imported, so that the next import is the real one's. Nothing happens where the real one is imported already.

    Raises ImportError when executorch is not installed.
    """
    if COMPILER in sys.modules:
        yield
        return
    package = importlib.import_module("executorch")
    stand_in = ModuleType(COMPILER)
    stand_in.__path__ = [str(Path(folder) / "exir") for folder in package.__path__]
    sys.modules[COMPILER] = stand_in
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name == COMPILER or name.startswith(f"{COMPILER}.")]:
            del sys.modules[name]
        if getattr(package, "exir", None) is stand_in:
            del package.exir
