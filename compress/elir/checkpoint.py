"""Reading and writing checkpoints: our safetensors, the published ``.pth`` and ``.ckpt``, TAESD3 autoencoders.

Names and shapes are compared before anything is loaded, values must be finite, and nothing is unpickled beyond
what ``torch.load(weights_only=True)`` admits.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from compress.elir.flow import GROUPS, FoldedFlow
from compress.elir.layout import read_layout
from compress.elir.model import Elir, ElirConfig
from compress.elir.overparam import EXPANSION
from compress.elir.shared_decoder import SHARED_KEYS, with_shared_decoder, without_decoder
from compress.elir.state import State, flatten, kind_of, read_state, unwrapped
from compress.errors import InputError, VerificationError
from compress.files import whole_file
from compress.recipe.library import find, is_path
from compress.recipe.published import PUBLISHED
from compress.tensors import own, too_large

MAX_K_STEPS = 64
MAX_BLOCKS = 64  # of the flow's middle and of the MMSE estimator; published models have at most 3
RESIDUAL = "residual"  # key of the metadata: names and shapes do not tell it
GROUP_MULTIPLE = 8  # of the flow's width
MAX_SIGMA_S = 10.0
# diffusers' AutoencoderTiny numbers its layers as ours does; the original files' decoder has a clamp at index 0.
_DIFFUSERS = {"encoder.layers.": "enc.layers.", "decoder.layers.": "dec.layers."}


class NumbersUnknown(InputError):
    """A checkpoint records no K or sigma_s, and nobody gave them."""


def load_checkpoint(path: str | Path, k_steps: int | None = None, sigma_s: float | None = None) -> Elir:
    """Load an ELIR checkpoint in a published format or our own; the configuration is inferred from names and shapes.

    ``path``: path of a file, or a built-in name (``"elir_sr_x4"``). Wrappers that training leaves around a model are
    removed: the model's ``taken`` names them.

    ``k_steps`` (1 ... 64) and ``sigma_s`` (0 ... 10) override the file's metadata; formats without metadata need both.
    Over-parametrised files give an over-parametrised model: ``collapse`` it.
    Raises InputError (no such file; K or sigma_s unknown or out of range) or VerificationError (truncated, needs
    unpickling, of another architecture, NaN or Inf, unreadable metadata, a shared decoder that is missing or changed).

    >>> import torch
    >>> from compress.elir import load_checkpoint
    >>> model = load_checkpoint("elir_sr_x4_fast")
    >>> model.k_steps, model.metadata["task"]
    (1, 'sr_x4')
    >>> lq, noise = torch.zeros(1, 3, 64, 64), torch.randn(1, 16, 8, 8)
    >>> model(lq, noise).shape
    torch.Size([1, 3, 64, 64])
    """
    path = find("weights", path) if isinstance(path, str) and not is_path(path) else Path(path)
    whole, metadata = read_state(path)
    raw, taken = unwrapped(whole)
    state = with_shared_decoder(flatten(raw, path), metadata, path)
    shape = infer_config(state, path)
    k = _setting(path, metadata, "k_steps", k_steps, int, (1, MAX_K_STEPS))
    sigma = _setting(path, metadata, "sigma_s", sigma_s, float, (0, MAX_SIGMA_S))
    if k is None or sigma is None:
        raise NumbersUnknown(
            f"{path}: holds no k_steps or sigma_s: give k_steps and sigma_s (--k-steps, --sigma-s; published: "
            f"{_published_numbers()}), or record them and the task once, by `compress convert`"
        )
    with torch.device("meta"):
        residual = metadata.get(RESIDUAL) == str(True)
        model = Elir(replace(shape, k_steps=int(k), sigma_s=float(sigma), residual=residual))
    _check_architecture(state, model.state_dict(), path)
    model.load_state_dict(as_floats(state, path), assign=True)
    model.taken = f"{path}: {taken}" if taken else ""
    model.metadata = {key: value for key, value in metadata.items() if key not in SHARED_KEYS}
    return model.eval().requires_grad_(False)


def _published_numbers() -> str:
    return ", ".join(f"{Path(m.file).stem} {m.k_steps} and {m.sigma_s:g}" for m in PUBLISHED)


def save_checkpoint(
    model: Elir,
    path: Path,
    metadata: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
    decoder_of: Path | None = None,
) -> None:
    """Write our own format: safetensors in ``dtype`` with the configuration, K and sigma_s as metadata.

    ``decoder_of``: a checkpoint beside ``path`` with the same decoder, which then is left out of the new file.
    Raises ValueError for a model whose time is folded, VerificationError for NaN or Inf, InputError
    for values that ``dtype`` cannot hold, and for a ``decoder_of`` in another folder or with another decoder.
    """
    from safetensors.torch import save as as_bytes

    if isinstance(model.fmir, FoldedFlow):
        raise ValueError("a folded flow is not a checkpoint, its time MLP is gone: save the model before `fold_time`")
    config = model.config
    own = {
        "format": "elir",
        "hid_channels": config.hid_channels,
        "n_mid_blocks": config.n_mid_blocks,
        "c_hid": config.c_hid,
        "n_rrdb": config.n_rrdb,
        "k_steps": model.k_steps,
        "sigma_s": model.sigma_s,
        **({RESIDUAL: True} if config.residual else {}),
    }
    check_finite(model.state_dict(), path)
    if problem := too_large(model.state_dict(), dtype):
        raise InputError(f"{path}: {problem}: write it in float32 (--float32)")
    state = {name: value.detach().to(dtype).contiguous() for name, value in model.state_dict().items()}
    state, shared = without_decoder(state, path, decoder_of) if decoder_of else (state, {})
    with whole_file(path) as part:
        # Written by safetensors itself, a full disk would not be an OSError.
        part.write_bytes(as_bytes(state, {**metadata, **shared, **{key: str(value) for key, value in own.items()}}))
        _sort_metadata(part)


def _sort_metadata(path: Path) -> None:
    """safetensors writes metadata in random order: unsorted, equal models would have files of unequal hashes."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def load_autoencoder(*paths: str | Path) -> State:
    """State of the autoencoder, named ``enc.layers.*`` and ``dec.layers.*``.

    Takes one file in our naming or in diffusers' ``AutoencoderTiny`` naming, or the original pair (encoder, decoder).
    """
    path = Path(paths[0])
    state = _original_pair(path, Path(paths[1])) if len(paths) == 2 else _one_file(path)
    with torch.device("meta"):
        model = Elir(ElirConfig(hid_channels=GROUPS, c_hid=8, n_rrdb=1))
    _check_architecture(_autoencoder_part(state), _autoencoder_part(model.state_dict()), path)
    return as_floats(_autoencoder_part(state), path)


def _one_file(path: Path) -> State:
    state = {}
    for name, value in flatten(read_state(path)[0], path).items():
        prefix = next((p for p in _DIFFUSERS if name.startswith(p)), "")
        state[_DIFFUSERS.get(prefix, "") + name.removeprefix(prefix)] = value
    return state


def _original_pair(encoder: Path, decoder: Path) -> State:
    state = {f"enc.layers.{name}": value for name, value in flatten(read_state(encoder)[0], encoder).items()}
    for name, value in flatten(read_state(decoder)[0], decoder).items():
        index, _, rest = name.partition(".")
        state[f"dec.layers.{int(index) - 1 if re.fullmatch(r'[0-9]{1,4}', index) else index}.{rest}"] = value
    return state


def _autoencoder_part(state: Mapping[str, Tensor]) -> State:
    return {name: value for name, value in state.items() if name.split(".")[0] in ("enc", "dec")}


def infer_config(state: Mapping[str, Tensor], path: Path) -> ElirConfig:
    """Widths, depths and form of a flat state; K and sigma_s are not in it.

    Raises VerificationError when it is not an ELIR at all.
    """
    conv1, proj = "mmse.lrm.0.RDB1.conv1.block.0.weight", "fmir.first_proj.weight"
    for name in (conv1, proj):
        if name not in state or state[name].ndim != 4:
            raise VerificationError(f"{path}: not an ELIR checkpoint, it has no convolution {name}: check the file")
    over_param = conv1.replace("block.0", "block.1") in state
    hid, c_hid = state[proj].shape[0], state[conv1].shape[0] // (EXPANSION if over_param else 1)
    if not c_hid or not hid or hid % GROUP_MULTIPLE:
        raise VerificationError(
            f"{path}: checkpoint of another architecture: hid_channels (={hid}) must be a multiple of "
            f"{GROUP_MULTIPLE}, c_hid (={c_hid}) at least 1"
        )
    enc, dec = (read_layout(state, net, path) for net in ("enc", "dec"))
    middle, rrdb = _count(state, r"fmir\.mid_blocks\."), _count(state, r"mmse\.lrm\.")
    if max(middle, rrdb) > MAX_BLOCKS:
        raise VerificationError(
            f"{path}: checkpoint of another architecture: n_mid_blocks (={middle}) and n_rrdb (={rrdb}) must be at "
            f"most {MAX_BLOCKS}"
        )
    return ElirConfig(
        hid_channels=hid,
        n_mid_blocks=middle,
        c_hid=c_hid,
        n_rrdb=rrdb,
        over_param=over_param,
        enc_widths=enc.widths,
        enc_blocks=enc.blocks,
        enc_scale=enc.scale,
        dec_widths=dec.widths,
        dec_blocks=dec.blocks,
    )


def _count(state: Mapping[str, Tensor], before: str) -> int:
    """How many numbers stand behind the pattern ``before`` in the names."""
    return len({match[1] for name in state if (match := re.match(rf"{before}([0-9]{{1,9}})\.", name))})


def _check_architecture(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    differences = [f"lacks {name}" for name in wanted if name not in state]
    differences += [f"has unknown {name}" for name in state if name not in wanted]
    differences += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if differences:
        shown = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
        raise VerificationError(f"{path}: checkpoint of another architecture: {shown}")


def as_floats(state: Mapping[str, Tensor], path: Path) -> State:
    """``state`` in float32, each tensor in memory of its own.

    Raises VerificationError at the first tensor that holds no floats, NaN or Inf.
    """
    for name, value in state.items():
        if not value.is_floating_point():
            raise VerificationError(f"{path}: {name} holds {kind_of(value)}, not floats: get a float checkpoint")
    floats = {name: own(value, torch.float32) for name, value in state.items()}
    check_finite(floats, path)
    return floats


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise VerificationError at the first tensor that holds NaN or Inf."""
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise VerificationError(f"{path}: {name} holds NaN or Inf: the checkpoint is damaged, get another")


def _setting(
    path: Path,
    metadata: Mapping[str, str],
    key: str,
    given: float | None,
    kind: Callable[[str], float],
    bounds: tuple[float, float],
) -> float | None:
    """``given``, or the metadata's value; None when there is neither."""
    low, high = bounds
    if given is not None:
        if not low <= given <= high:
            raise InputError(f"{key} must be in [{low}, {high}], got {given}: give another")
        return given
    if key not in metadata:
        return None
    try:
        value = kind(metadata[key])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise VerificationError(
            f"{path}: metadata {key} is {metadata[key]!r}, must be a number in [{low}, {high}]: get an undamaged file"
        )
    return value
