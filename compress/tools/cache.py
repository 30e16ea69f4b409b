"""Where tools are kept: ``COMPRESS_CACHE``, or the user's cache folder."""

import os
from pathlib import Path

VARIABLE = "COMPRESS_CACHE"


def cache_folder() -> Path:
    """Absolute; it need not exist yet."""
    from platformdirs import user_cache_path

    given = os.environ.get(VARIABLE)
    return Path(given).expanduser().absolute() if given else user_cache_path("elir-compress")
