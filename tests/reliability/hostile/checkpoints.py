"""Checkpoints: cut, flipped, of wrong shapes and types, with strange metadata, or pickles that want to run code."""

import io
import os
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.reliability.base import Base
from tests.reliability.hostile.strategies import SCALARS, damaged_bytes, json_texts

CANARY = "canary"


def strategy(base: Base) -> st.SearchStrategy[Any]:
    """Bytes of a .safetensors file, and the command that reads it."""
    good = base.checkpoint.read_bytes()
    length = int.from_bytes(good[:8], "little")
    import json

    header, body = json.loads(good[8 : 8 + length]), good[8 + length :]
    small = {name: header[name] for name in [*list(header)[:4], "__metadata__"]}
    changed_header = json_texts(small).map(lambda text: _with_header(header, small, text, body))
    values = st.tuples(st.sampled_from(sorted(header)), st.sampled_from(_VALUES)).map(lambda x: _with_value(good, *x))
    files = st.one_of(damaged_bytes(good), changed_header, values)
    return st.tuples(files, st.sampled_from(["convert", "convert", "restore", "plan"]))


_VALUES = ("nan", "inf", "int8", "int64", "bool", "shape", "scalar", "empty", "gone", "huge", "complex")


def _with_header(header: dict[str, Any], small: dict[str, Any], text: bytes, body: bytes) -> bytes:
    import json

    try:
        made = json.loads(text)
        if isinstance(made, dict):
            rest = {name: value for name, value in header.items() if name not in small}
            text = json.dumps(rest | made).encode()
    except (ValueError, RecursionError):
        pass
    return len(text).to_bytes(8, "little") + text + body


def _with_value(good: bytes, name: str, how: str) -> bytes:
    import torch
    from safetensors.torch import load, save

    state = load(good)
    value = state.get(name, next(iter(state.values()))).float()
    name = name if name in state else next(iter(state))
    made = {
        "nan": lambda: value.clone().fill_(float("nan")),
        "inf": lambda: value.clone().fill_(float("inf")),
        "int8": lambda: value.to(torch.int8),
        "int64": lambda: value.to(torch.int64),
        "bool": lambda: value > 0,
        "shape": lambda: value.flatten().contiguous(),
        "scalar": lambda: torch.tensor(1.0),
        "empty": lambda: torch.zeros(0),
        "huge": lambda: torch.full_like(value, 3e38),
        "complex": lambda: value.to(torch.complex64),
        "gone": lambda: None,
    }[how]()
    if made is None:
        del state[name]
    else:
        state[name] = made
    return save(state, {"k_steps": "1", "sigma_s": "0.1", "task": "sr_x4"})


def prepare(base: Base, example: tuple[bytes, str], folder: Path) -> Sequence[str]:
    """Write the file; `convert`, `restore` or a planned `apply` reads it."""
    data, what = example
    return reading(base, folder, "hostile.safetensors", data, what)


def reading(base: Base, folder: Path, name: str, data: bytes, what: str) -> Sequence[str]:
    """Arguments of the command that reads a checkpoint."""
    path = folder / name
    path.write_bytes(data)
    numbers = ["--k-steps", "1", "--sigma-s", "0.1"] if path.suffix != ".safetensors" else []
    plan = ["apply", str(base.recipe), "--out", str(folder / "out"), "--dry-run", "--set", f"model.weights={path}"]
    return {
        "convert": ["convert", str(path), str(folder / "written.safetensors"), *numbers],
        "restore": ["restore", str(path), str(base.picture), "-o", str(folder / "restored.png")],
        "plan": [*plan, "--set", "model.k_steps=1", "--set", "model.sigma_s=0.1"],
    }[what]


class _Runs:
    """Unpickled, it would write a file."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        target = f"touch {CANARY}"
        if self.how == "eval":
            return eval, (f"open({CANARY!r}, 'w')",)
        return (os.system, (target,)) if self.how == "system" else (open, (CANARY, "w"))


def pickled(base: Base) -> st.SearchStrategy[Any]:
    """Bytes of a .pth file: torch's own damaged, or a payload, as torch's archive or as a bare pickle."""
    good = _torch_file(base)
    payloads = [_payload(how, kind) for how in ("system", "eval", "open") for kind in ("archive", "bare", "legacy")]
    strange = [pickle.dumps(value) for value in ([], 3, "x", {"a": 1}, {1: 2}, {"state_dict_enc": {1: 2}}, None)]
    data = st.one_of(
        damaged_bytes(good), st.sampled_from(payloads), st.sampled_from([*strange, _zip_bomb(), b"PK\3\4"])
    )
    scalars = SCALARS.map(lambda value: _saved({"fmir.first_proj.weight": value}))
    return st.tuples(
        st.one_of(data, data, scalars), st.sampled_from(["convert", "plan"]), st.sampled_from([".pth", ".ckpt"])
    )


def described(base: Base) -> st.SearchStrategy[Any]:
    """Bytes of a .pth file that describes a model of any size: strides of 0, blocks by their names alone, odd keys."""
    names = st.sampled_from(["mmse.lrm.{}.x", "fmir.mid_blocks.{}.x", "enc.layers.{}.x", "dec.layers.{}.weight", "{}"])
    keys = st.sampled_from([None, 1, ("fmir", 2), "\x1b[31m", f"enc.layers.{'9' * 5000}.weight", "mmse.lrm.\u00b2.x"])
    wide, count = st.sampled_from([1, 1, 8, 1024, 2**16]), st.sampled_from([0, 0, 1, 100, 5000])
    data = st.builds(lambda *how: _described(base, *how), wide, names, count, keys)
    return st.tuples(data, st.sampled_from(["convert", "restore"]), st.sampled_from([".pth", ".ckpt"]))


def _described(base: Base, wide: int, name: str, count: int, key: Any) -> bytes:
    import torch
    from safetensors.torch import load_file

    state: dict[Any, Any] = {n: value.float() for n, value in load_file(base.checkpoint).items()}
    if wide > 1:
        shapes = {n: [side * wide for side in value.shape[:2]] + [*value.shape[2:]] for n, value in state.items()}
        state = {n: torch.zeros(1).expand(shape) for n, shape in shapes.items()}
    state |= {name.format(i): torch.zeros(0) for i in range(10, 10 + count)}
    return _saved(state | {key: torch.zeros(1)})


def _saved(document: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(document, buffer)
    return buffer.getvalue()


def _torch_file(base: Base) -> bytes:
    from safetensors.torch import load_file

    return _saved({name: value.float() for name, value in load_file(base.checkpoint).items()})


def _payload(how: str, kind: str) -> bytes:
    if kind == "bare":
        return pickle.dumps({"state": _Runs(how)})
    import torch

    buffer = io.BytesIO()
    torch.save({"state": _Runs(how)}, buffer, _use_new_zipfile_serialization=kind == "archive")
    return buffer.getvalue()


def _zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 200_000_000)
        archive.writestr("archive/version", "3")
    return buffer.getvalue()


def prepare_pickled(base: Base, example: tuple[bytes, str, str], folder: Path) -> Sequence[str]:
    """Write the file; the canary would be written where the command runs, which is watched."""
    data, what, suffix = example
    return reading(base, folder, f"hostile{suffix}", data, what)
