"""Rules of a runtime, applied to an ONNX file without that runtime."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from compress.errors import VerificationError


def breaches(path: Path, rules: Callable[[Any], list[str]]) -> list[str]:
    """What ``rules`` make of the file's ModelProto, read without its weights. Raises VerificationError for a file that
    cannot be read."""
    import onnx

    try:
        return rules(onnx.load(path, load_external_data=False))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of protobuf, and where nodes lack inputs or tensors are of no known type
        why = " ".join(str(error).split())[:200]
        raise VerificationError(f"{path}: not a readable ONNX model ({why}): export it again") from None
