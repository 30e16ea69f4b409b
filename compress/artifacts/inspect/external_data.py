"""Files beside an artifact that it keeps weights in: an OpenVINO IR's, and an ONNX model's, found in its bytes alone:
whoever runs it need not have onnx.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from compress.errors import VerificationError
from compress.recipe.schema import Format

_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""onnx.proto: the fields of a message that lead to a tensor, and the messages that they hold."""
_EXTERNAL, _KEY, _VALUE = 13, 1, 2
"""TensorProto.external_data, and both fields of its entries."""


_OF_A_SHAPE = re.compile(r"_\d{1,5}x\d{1,5}$")


def weights_names(xml: str) -> tuple[str, str]:
    """Where an IR's weights may lie: under its own name, or, of ``model_384x640.xml``, the first shape's."""
    stem = xml.removesuffix(".xml")
    return f"{stem}.bin", f"{_OF_A_SHAPE.sub('', stem)}.bin"


def weights_of(xml: Path) -> Path:
    """The file that holds an IR's weights; where there is none, the one that should be beside it."""
    own, shared = (xml.with_name(name) for name in weights_names(xml.name))
    return shared if shared.is_file() and not own.is_file() else own


def files_beside(entry: Path, format: Format) -> dict[str, Path]:
    """Every file of weights that an artifact's entry is read with, by the name that it must have beside that.

    Raises VerificationError for what is not an ONNX model.
    """
    if format == "openvino":
        return {entry.with_suffix(".bin").name: weights_of(entry)}
    if format != "onnx":
        return {}
    try:
        return {name: entry.with_name(name) for name in external_data(entry.read_bytes())}
    except ValueError as error:
        raise VerificationError(f"{entry}: not an ONNX model ({error}): write it again") from None


def copy_whole(entry: Path, format: Format, folder: Path) -> Path:
    """A copy of an artifact in ``folder`` that is read by its entry's path alone; its entry there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in {entry.name: entry, **files_beside(entry, format)}.items():
        shutil.copyfile(path, folder / name)
    return folder / entry.name


def external_data(model: bytes) -> set[str]:
    """Every location, as the model names it, that a tensor of it is read from.

    Tensors of subgraphs, functions and attributes too. Raises ValueError for what is not an ONNX model.
    """
    locations: set[str] = set()
    todo = [("model", memoryview(model))]
    while todo:  # not by recursion: a stranger's model may be nested without end
        kind, message = todo.pop()
        for number, value in _fields(message):
            if kind == "tensor" and number == _EXTERNAL:
                entry = dict(_fields(value))
                if bytes(entry.get(_KEY, b"")) == b"location":
                    locations.add(bytes(entry.get(_VALUE, b"")).decode("utf-8", "backslashreplace"))
            elif part := _PARTS.get(kind, {}).get(number):
                todo.append((part, value))
    return locations


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(number, bytes) of every field of a protobuf message that holds bytes. Raises ValueError for what is none."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:  # a number
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:  # bytes, a text or a message
                size, at = _varint(message, at)
                yield tag >> 3, message[at : at + size]
                at += size
            case kind:
                raise ValueError(f"wire type {kind} at byte {at}")
        if at > len(message):
            raise ValueError("ends within a field")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError(f"no number at byte {at}")
