"""The tensors of a checkpoint file, of any format, read without running anything from it."""

import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from compress.elir.metadata import damaged
from compress.errors import InputError, VerificationError
from compress.files import open_plain
from compress.native_work import native_work

State = dict[str, Tensor]
MODULES = ("fmir", "mmse", "enc", "dec")
# What trainers put around a model, averaged weights first: BasicSR's and Lightning's dictionaries ...
_HOLDERS = (
    *("params_ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "ema"),
    *("params", "state_dict", "model_state_dict", "model", "net", "network"),
)
# ... and the names of DataParallel, torch.compile, swa_utils, Lightning and others before those of the tensors.
_PREFIX = re.compile(
    r"((?:(?:module|_orig_mod|model|net|network|net_g|generator|ema|ema_model|model_ema|net_ema|params|params_ema)\.)+)"
    rf"(?:{'|'.join(MODULES)})\."
)
_DEEPEST = 4  # holders inside of each other
_PICKLED = {".pth", ".ckpt", ".pt"}
_MOST_VIEWS = 8  # times that tensors, dense, may take the memory that they share: a stride of 0 needs none


def read_state(path: Path) -> tuple[dict, dict[str, str]]:
    """Tensors (possibly nested, for ``.ckpt``) and metadata of a file, without running anything from it."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint: check the path")
    if path.suffix != ".safetensors" and path.suffix not in _PICKLED:
        raise InputError(f"{path}: unknown checkpoint suffix: use .safetensors, .pth or .ckpt")
    if not path.stat().st_size:
        raise VerificationError(f"{path}: refused, the file is empty: get an undamaged file")
    return _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickled(path), {})


def load_pickled(path: Path) -> object:
    """What torch saved, on the CPU, if it is plain data. Raises what torch raises, OSError, and ValueError for what is
    no plain file, and for an archive that would grow when it is read.
    """
    with open_plain(path) as file:
        if _is_compressed(file):
            raise ValueError("its archive is compressed, as torch writes none")
        file.seek(0)
        with native_work(path):
            return torch.load(file, map_location="cpu", weights_only=True)


def _read_pickled(path: Path) -> dict:
    try:
        state = load_pickled(path)
    except Exception as error:
        # torch raises UnpicklingError, RuntimeError, EOFError, KeyError ... by where the damage lies.
        why = _why_refused(error)
        raise VerificationError(
            f"{path}: refused, not loadable as plain tensors ({why}): get an undamaged file, or safetensors"
        ) from None
    if not isinstance(state, dict):
        raise VerificationError(f"{path}: refused, holds a {type(state).__name__}, not a dict of tensors")
    return state


def _is_compressed(file: IO[bytes]) -> bool:
    """Whether a part of a .pth archive would grow when it is read: a few MB can become more than the memory holds."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False  # no archive, or a damaged one: torch tells


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
        raise damaged(path, error) from None


def unwrapped(state: Mapping[str, object]) -> tuple[Mapping[str, object], str]:
    """What ``flatten`` takes, out of the well-known wrappers that training leaves; and which were taken off, in words.

    Where a file holds both a model and the average of its weights (EMA), the average is taken.
    """
    taken: list[str] = []
    for _ in range(_DEEPEST):
        holder = next((key for key in _HOLDERS if _holds(state.get(key))), None)
        if holder is None or _is_elir(state):
            break
        state = state[holder]  # type: ignore[assignment]
        taken.append(holder)
    nested = {m: state[f"state_dict_{m}"] for m in MODULES if _holds(state.get(f"state_dict_{m}"))}
    if nested:
        parts = {m: _without_prefix(part, m) for m, part in nested.items()}  # type: ignore[arg-type]
        taken += dict.fromkeys(prefix for _, prefix in parts.values() if prefix)
        return {**state, **{f"state_dict_{m}": part for m, (part, _) in parts.items()}}, _in_words(taken)
    prefixes = Counter(match[1] for name in state if (match := _PREFIX.match(str(name))))
    if prefixes and not _is_elir(state):
        # The whole model has more names than a part of it, which may be wrapped once more.
        prefix = min(prefixes, key=lambda text: (-("ema" in text), -prefixes[text], len(text)))
        state = {str(name).removeprefix(prefix): value for name, value in state.items() if str(name).startswith(prefix)}
        taken.append(prefix)
    return state, _in_words(taken)


def _is_elir(state: Mapping[str, object]) -> bool:
    names = ("state_dict_fmir", "state_dict_mmse")
    return any(str(name).startswith(("fmir.", "mmse.")) or name in names for name in state)


def _holds(value: object) -> bool:
    return isinstance(value, dict) and bool(value)


def _without_prefix(part: Mapping[str, object], module: str) -> tuple[dict[str, object], str]:
    """A network's own state without what is before every name of it."""
    for prefix in ("module._orig_mod.", "_orig_mod.module.", "module.", "_orig_mod.", f"{module}."):
        if all(str(name).startswith(prefix) for name in part):
            return {str(name).removeprefix(prefix): value for name, value in part.items()}, prefix
    return {str(name): value for name, value in part.items()}, ""


def _in_words(taken: list[str]) -> str:
    if not taken:
        return ""
    averaged = ", the averaged weights (EMA)" if any("ema" in text for text in taken) else ""
    return f"weights are those inside {' / '.join(text.rstrip('.') for text in taken)}{averaged}"


def flatten(state: Mapping[str, object], path: Path) -> State:
    """One flat dict with the prefixes ``fmir. mmse. enc. dec.``, from either published form.

    Raises VerificationError for a tensor that is sparse, nested, quantized or without values, and where the tensors
    would take far more memory than those of the file ``path`` do.
    """
    nested = {m: state[f"state_dict_{m}"] for m in MODULES if isinstance(state.get(f"state_dict_{m}"), dict)}
    if nested:
        flat = {f"{m}.{name}": value for m, part in nested.items() for name, value in part.items()}  # type: ignore[attr-defined]
    else:
        flat = dict(state)
    tensors = {str(name): value for name, value in flat.items() if isinstance(value, Tensor)}
    for name, value in tensors.items():
        if value.layout != torch.strided or value.is_meta or value.is_nested or value.is_quantized:
            raise VerificationError(f"{path}: {name} holds {kind_of(value)}, not floats: get a float checkpoint")
    _check_memory(tensors, path)
    return tensors


def kind_of(value: Tensor) -> str:
    """What a tensor is, for people."""
    if value.is_nested or value.is_meta:
        return "a nested tensor" if value.is_nested else "no values"
    return str(value.dtype if value.layout == torch.strided else value.layout).removeprefix("torch.")


def _check_memory(state: State, path: Path) -> None:
    """A tensor of stride 0 is a terabyte in a file of a kilobyte, and is one in memory once it is copied."""
    storages = {s.data_ptr(): s.nbytes() for s in (value.untyped_storage() for value in state.values())}
    held, taken = sum(storages.values()), sum(value.numel() * value.element_size() for value in state.values())
    if taken > _MOST_VIEWS * held:
        raise VerificationError(
            f"{path}: refused, its tensors would take {taken} bytes and the file holds {held} of them: get another file"
        )
