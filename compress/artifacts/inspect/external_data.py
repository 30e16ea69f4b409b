"""Files beside an ONNX model that it keeps weights in, found in its bytes alone: whoever runs it need not have onnx."""

from collections.abc import Iterator

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
