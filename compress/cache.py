"""Where tools are kept: ``COMPRESS_CACHE``, or the user's cache folder."""

import os
from pathlib import Path

from compress.errors import InputError
from compress.surroundings import NO_HOME, expanded, has_home

VARIABLE = "COMPRESS_CACHE"


def cache_folder() -> Path:
    """Absolute; it need not exist yet. Raises InputError where nothing says where it is."""
    from platformdirs import user_cache_path

    given = os.environ.get(VARIABLE)
    if not given and not has_home():
        raise InputError(f"no cache folder, since {NO_HOME}: set {VARIABLE} to a folder of yours")
    return expanded(given).absolute() if given else user_cache_path("elir-compress")
