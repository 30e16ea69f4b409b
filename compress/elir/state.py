"""The tensors of a checkpoint file, of any format, read without running anything from it."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from compress.errors import InputError, VerificationError

State = dict[str, Tensor]
MODULES = ("fmir", "mmse", "enc", "dec")
_PICKLED = {".pth", ".ckpt", ".pt"}


def read_state(path: Path) -> tuple[dict, dict[str, str]]:
    """Tensors (possibly nested, for ``.ckpt``) and metadata of a file, without running anything from it."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint: check the path")
    if path.suffix != ".safetensors" and path.suffix not in _PICKLED:
        raise InputError(f"{path}: unknown checkpoint suffix: use .safetensors, .pth or .ckpt")
    if not path.stat().st_size:
        raise VerificationError(f"{path}: refused, the file is empty: get an undamaged file")
    return _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickled(path), {})


def _read_pickled(path: Path) -> dict:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises UnpicklingError, RuntimeError, EOFError, KeyError ... by where the damage lies.
        why = _why_refused(error)
        raise VerificationError(
            f"{path}: refused, not loadable as plain tensors ({why}): get an undamaged file, or safetensors"
        ) from None
    if not isinstance(state, dict):
        raise VerificationError(f"{path}: refused, holds a {type(state).__name__}, not a dict of tensors")
    return state


def _why_refused(error: Exception) -> str:
    """One short line; torch's own text advises to load the file unsafely, which must not be passed on."""
    text = str(error).strip()
    if needs := re.search(r"Unsupported \w+: GLOBAL ([\w.]+)|Unsupported (?:global|class|operand) ([\w.]+)", text):
        return f"it needs {needs[1] or needs[2]}, which could run code"
    if "Weights only load failed" in text or not text:
        return "damaged, or needs unpickling"
    return text.splitlines()[0][:120]


def _read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise VerificationError(f"{path}: refused, damaged safetensors ({error}): get an undamaged file") from None


def flatten(state: Mapping[str, object]) -> State:
    """One flat dict with the prefixes ``fmir. mmse. enc. dec.``, from either published form."""
    nested = {m: state[f"state_dict_{m}"] for m in MODULES if isinstance(state.get(f"state_dict_{m}"), dict)}
    if nested:
        flat = {f"{m}.{name}": value for m, part in nested.items() for name, value in part.items()}  # type: ignore[attr-defined]
    else:
        flat = dict(state)
    return {name: value for name, value in flat.items() if isinstance(value, Tensor)}
