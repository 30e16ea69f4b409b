"""Tensors of files lie in aligned memory of their own, wherever the file had them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from compress.measure.lpips import Lpips
from compress.tensors import ALIGNMENT, own, read_tensors

WHOLE = torch.arange(240.0).view(10, 24)


VIEWS = {
    "whole": WHOLE,
    "offset": WHOLE[1:, 3:],
    "transposed": WHOLE.T,
    "expanded": WHOLE[:1].expand(7, 24),
    "scalar": WHOLE[0, 0],
    "empty": WHOLE[:0],
}


@pytest.mark.parametrize("value", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("dtype", [None, torch.float16], ids=["same", "half"])
def test_own_memory_contiguous_and_aligned(value: torch.Tensor, dtype: torch.dtype | None) -> None:
    result = own(value, dtype)
    assert result.dtype == (dtype or torch.float32) and torch.equal(result, value.to(result.dtype))
    assert result.is_contiguous() and result.data_ptr() % ALIGNMENT == 0
    assert result.untyped_storage().nbytes() == result.numel() * result.element_size()
    assert not result.numel() or result.untyped_storage().data_ptr() != value.untyped_storage().data_ptr()


@pytest.mark.parametrize("padding", range(0, 64, 7))
def test_whatever_the_length_of_the_header(tmp_path: Path, padding: int) -> None:
    path, state = tmp_path / "x.safetensors", {"a": torch.ones(3), "b": torch.arange(5), "c": torch.ones(2, 2).half()}
    save_file(state, path, {"padding": "x" * padding})
    tensors, metadata = read_tensors(path)
    assert metadata == {"padding": "x" * padding} and tensors.keys() == state.keys()
    for name, value in tensors.items():
        assert torch.equal(value, state[name]) and value.dtype == state[name].dtype
        assert value.data_ptr() % ALIGNMENT == 0
    path.unlink()  # nothing is mapped: what was read stays
    assert torch.equal(tensors["b"], state["b"])


def test_lpips_weights_are_aligned() -> None:
    assert all(value.data_ptr() % ALIGNMENT == 0 for value in Lpips().state_dict().values())
