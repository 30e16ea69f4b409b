"""An artifact that was read and checked already, for a runtime to load."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.artifacts.stages import Stage


@dataclass(frozen=True)
class Contents:
    """Bytes of an artifact's files: its entry; ``weights``, beside an OpenVINO IR; ``external``, the files that an ONNX
    model keeps weights in, as it names them; ``about``, the .json beside a .pte. ``stages``: of each graph, by its
    stage, where there are three.
    """

    entry: bytes
    weights: bytes = b""
    external: Mapping[str, bytes] = field(default_factory=dict)
    about: bytes = b""
    stages: Mapping[Stage, "Contents"] = field(default_factory=dict)
