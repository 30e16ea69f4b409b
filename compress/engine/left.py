"""What units leave for each other, and where they work."""

from pathlib import Path

from compress.engine.store import Store
from compress.tools.cache import cache_folder


class Left:
    """What passes keep, in a store, for all who have the same passes before them (``compress.models.Shared``)."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def fetch(self, key: str, path: Path) -> bool:
        """Put the file of ``key`` at ``path``; False where nobody left it."""
        return self.store.get(f"prefixes/{key}.safetensors", path)

    def leave(self, key: str, path: Path) -> None:
        """Leave the file at ``path`` under ``key``."""
        self.store.put(path, f"prefixes/{key}.safetensors")


def scratch(key: str) -> Path:
    """Where a unit works on its node; one that was killed goes on there."""
    return cache_folder() / "sweep" / key[:24]
