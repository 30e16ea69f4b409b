"""An artifact of three graphs: what they are called, and what they take and give.

``encode`` and ``decode`` are for tiles of a fixed size. ``flow``, all networks between them, takes the latent of a
whole picture, of any size: GroupNorm normalises over what it sees.
"""

from pathlib import PurePosixPath
from typing import Literal

Stage = Literal["encode", "flow", "decode"]
STAGES: tuple[Stage, ...] = ("encode", "flow", "decode")
"""In the order in which they run; also the stems of their files' names, and so how an artifact of them is known."""

INPUTS: dict[str, tuple[str, ...]] = {
    "encode": ("lq",),
    "flow": ("latent", "noise"),
    "decode": ("restored_latent", "lq"),
}
"""The inputs of each graph, in order. A model that is not residual decodes without ``lq``."""
OUTPUTS: dict[str, str] = {"encode": "latent", "flow": "restored_latent", "decode": "hq"}
NETWORKS: dict[str, tuple[str, ...]] = {"encode": ("enc",), "flow": ("mmse", "fmir"), "decode": ("dec",)}
"""The model's networks in each, by their names in it."""


def stage_files(entry: str) -> dict[str, str]:
    """The files of an artifact's graphs by stage, of which ``entry`` is one: they lie in one folder."""
    path = PurePosixPath(entry)
    return {stage: str(path.with_stem(stage)) for stage in STAGES}
