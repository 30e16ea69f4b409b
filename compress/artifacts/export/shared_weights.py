"""Weights of artifacts that differ in shape alone, put into one file that all of them read.

OpenVINO: the first one's .bin, to which is added what only others have; its own IR stays as it is. ONNX: external data.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compress.artifacts.inspect.external_data import external_data
from compress.files import whole_file, write_text
from compress.recipe.schema import Format

ALIGNED = 64
"""Bytes: runtimes map the file and compute on what lies there."""
SMALL = 1024
"""Bytes: what is smaller stays in an ONNX graph, which is read without the file then, for instance by a linter."""
_PLACE = re.compile(r'(<data [^>]*?\boffset=")(\d+)(" [^>]*?\bsize=")(\d+)(")')


class _Pool:
    """Bytes of a file, each piece once."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.places: dict[bytes, int] = {}

    def place(self, piece: bytes) -> int:
        """Offset of ``piece``, which is added where it is missing."""
        if piece not in self.places:
            self.data += bytes(-len(self.data) % ALIGNED)
            self.places[piece] = len(self.data)
            self.data += piece
        return self.places[piece]

    def write(self, path: Path) -> None:
        with whole_file(path) as part:
            part.write_bytes(self.data)


def share_weights(entries: Sequence[Path], format: Format) -> None:
    """Rewrite finished artifacts, of one folder, the first of which names the file: model.bin, or model.data."""
    (_share_openvino if format == "openvino" else _share_onnx)(entries)


def _share_openvino(entries: Sequence[Path]) -> None:
    first, *others = entries
    data = first.with_suffix(".bin").read_bytes()
    pool = _Pool(data)
    for _, offset, _, size, _ in _PLACE.findall(first.read_text(encoding="utf-8")):
        pool.places.setdefault(data[int(offset) : int(offset) + int(size)], int(offset))
    texts = {entry: _moved(entry, pool) for entry in others}
    pool.write(first.with_suffix(".bin"))
    for entry, text in texts.items():
        write_text(entry, text)
        entry.with_suffix(".bin").unlink()


def _moved(entry: Path, pool: _Pool) -> str:
    """The IR whose constants lie in ``pool``."""
    data = entry.with_suffix(".bin").read_bytes()

    def place(match: re.Match[str]) -> str:
        head, offset, middle, size, end = match.groups()
        return f"{head}{pool.place(data[int(offset) : int(offset) + int(size)])}{middle}{size}{end}"

    return _PLACE.sub(place, entry.read_text(encoding="utf-8"))


def _share_onnx(entries: Sequence[Path]) -> None:
    import onnx

    pool, path = _Pool(), entries[0].with_suffix(".data")
    models = {entry: onnx.load(entry) for entry in entries}
    for model in models.values():
        for tensor in model.graph.initializer:
            if tensor.HasField("raw_data") and len(tensor.raw_data) >= SMALL:
                _move(tensor, pool, path.name)
    pool.write(path)
    for entry, model in models.items():
        with whole_file(entry) as part:
            part.write_bytes(model.SerializeToString(deterministic=True))


def join_weights(entry: Path) -> None:
    """Put the weights of an ONNX model, in a folder of its own, back into it: apps load one file."""
    names = external_data(entry.read_bytes())
    if not names:
        return
    import onnx

    model = onnx.load(entry)
    with whole_file(entry) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))
    for name in names:
        (entry.parent / name).unlink()


def _move(tensor: Any, pool: _Pool, location: str) -> None:
    import onnx

    data = tensor.raw_data
    for key, value in {"location": location, "offset": pool.place(data), "length": len(data)}.items():
        tensor.external_data.add(key=key, value=str(value))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
