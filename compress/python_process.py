"""How processes of our own are started: none takes a module from the folder that a person happens to stand in.

``python -m`` puts the current folder in front of the standard library, so that a ``numpy.py`` in a folder received
from a stranger would be executed. Safe-path mode ends that, for Python's own children too.
"""

import os
import site
import sys
from pathlib import Path

SAFE = "PYTHONSAFEPATH"
ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds this package: a checkout, or the environment's site-packages."""


def python_command(*words: str) -> list[str]:
    """``words`` for a fresh Python in safe-path mode; start it with ``python_environment()``."""
    return [sys.executable, "-P", *words]


def python_environment(*first: Path, **more: str) -> dict[str, str]:
    """This process's environment for a Python of ours, and its children: it finds this package, and no module by a
    path that depends on the current folder. ``first``: folders to find modules in before all others.
    """
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # An empty entry is the current folder; site-packages before the standard library would hide parts of that.
    paths = [*map(str, first), *([] if _installed() else [str(ROOT)]), *(p for p in given if os.path.isabs(p))]
    return {**os.environ, SAFE: "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), **more}


def _installed() -> bool:
    folders = [*site.getsitepackages(), site.getusersitepackages()]
    return any(Path(folder).resolve() == ROOT for folder in folders)


def leave_current_folder() -> None:
    """For a ``python -m`` that was not started in safe-path mode, and for every child of this process from now on."""
    os.environ.update({name: value for name, value in python_environment().items() if name in (SAFE, "PYTHONPATH")})
    if not sys.flags.safe_path:
        here = os.getcwd()
        sys.path[:] = [path for path in sys.path if path not in ("", ".") and (path != here or Path(path) == ROOT)]
