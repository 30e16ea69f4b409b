"""Files that units of work share, and the folder each unit works in."""

from pathlib import Path

from compress.cache import cache_folder
from compress.pipeline.workers.store import Store


class SharedFiles:
    """What passes keep, in a store, for all who have the same passes before them
    (``compress.pipeline.cache.PassStore``)."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def fetch(self, key: str, path: Path) -> bool:
        """Put the file of ``key`` at ``path``; False where nobody left it."""
        return self.store.get(f"prefixes/{key}.safetensors", path) is not None

    def leave(self, key: str, path: Path) -> None:
        """Leave the file at ``path`` under ``key``."""
        self.store.put(path, f"prefixes/{key}.safetensors")


def shared_files(folder: Path, store: str | None) -> SharedFiles:
    """Shared files in the store of a URL or a folder; None: in a store below ``folder``."""
    return SharedFiles(Store(store or str((folder / ".shared").absolute())))


def scratch(key: str) -> Path:
    """The folder that a unit works in on its node; a unit that was killed continues there."""
    return cache_folder() / "sweep" / key[:24]
