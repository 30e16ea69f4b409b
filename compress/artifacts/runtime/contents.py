"""An artifact that was read and checked already, for a runtime to load."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contents:
    """Bytes of an artifact's entry file, and of the weights beside it, which only OpenVINO's IR has."""

    entry: bytes
    weights: bytes = b""
