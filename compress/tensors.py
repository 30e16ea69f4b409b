"""Tensors of files, each in memory of its own: contiguous, aligned, and shared with no other tensor.

As safetensors gives them, tensors lie in the mapped file, at an address that depends on the length of its header.
Convolutions take another path for weights that are not aligned, and their outputs differ in their last bits. As torch
unpickles them, tensors may be views of each other: a pass that scales one in place would scale both, and safetensors
refuses to write them. (What ``load_state_dict`` copies into a model's own tensors needs nothing of this.)
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from compress.files import open_plain

ALIGNMENT = 64  # bytes: a cache line, and the widest vector; torch's own allocator keeps to it


def own(value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of a dense tensor in memory of its own, contiguous, at a multiple of ``ALIGNMENT``, as ``dtype``."""
    return torch.empty(value.shape, dtype=dtype or value.dtype).copy_(value.detach())


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file. Raises what safetensors raises where the file is damaged, OSError, and
    ValueError for what is no plain file.
    """
    from safetensors import safe_open

    with open_plain(path), safe_open(path, framework="pt") as file:
        # No mapping: it has keys and nothing else.
        return {name: own(file.get_tensor(name)) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def too_large(state: Mapping[str, Tensor], dtype: torch.dtype) -> str | None:
    """What ``dtype`` cannot hold, as ``w reaches 1.2e+05, float16 ends at 65504``; None where it holds every value.

    NaN and Inf are not such values: they are wrong in every type.
    """
    limit = torch.finfo(dtype).max
    for name, value in state.items():
        if value.is_floating_point() and value.numel():
            most = value.detach().abs().max().item()
            if limit < most < float("inf"):
                return f"{name} reaches {most:.2g}, {str(dtype).removeprefix('torch.')} ends at {limit:g}"
    return None


def compact_dtype(state: Mapping[str, Tensor]) -> torch.dtype:
    """float16, or float32 where that does not hold every value: hours of training are not lost for one large weight."""
    return torch.float32 if too_large(state, torch.float16) else torch.float16
