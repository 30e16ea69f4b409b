"""How the runner starts itself again."""

import os
import sys
from typing import List


def program() -> List[str]:
    """The command that starts this runner again: the file that was sent, or the package of a checkout."""
    root = os.path.abspath(__file__)
    for _ in range(4):  # runner, targets, compress, and what holds them
        root = os.path.dirname(root)
    return [sys.executable, root] if os.path.isfile(root) else [sys.executable, "-m", "compress.targets.runner"]
