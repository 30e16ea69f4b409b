"""A student's layout, from names and shapes alone: every layout comes back, and what is not one of ours is refused."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from compress.elir.checkpoint import load_checkpoint, save_checkpoint
from compress.elir.latent import noise_shape
from compress.elir.layout import Layout, read_layout
from compress.elir.model import Elir, ElirConfig
from compress.errors import VerificationError

STUDENT = ElirConfig(
    hid_channels=40,
    c_hid=8,
    n_rrdb=1,
    k_steps=1,
    enc_widths=(16, 24),
    enc_blocks=(2, 1),
    enc_scale=4,
    dec_widths=(24, 16, 8, 8),
    dec_blocks=(1, 2, 0, 1),
)


@pytest.fixture()
def student() -> Elir:
    torch.manual_seed(0)
    return Elir(STUDENT).eval().requires_grad_(False)


@pytest.mark.numerics
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_a_saved_student_comes_back(tmp_path: Path, scale: int) -> None:
    resolutions = {1: 4, 2: 3, 4: 2, 8: 1}[scale]
    config = ElirConfig(
        **{**vars(STUDENT), "enc_scale": scale, "enc_widths": (16,) * resolutions, "enc_blocks": (1,) * resolutions}
    )
    torch.manual_seed(0)
    model = Elir(config).eval()
    save_checkpoint(model, tmp_path / "s.safetensors", {}, torch.float32)
    loaded = load_checkpoint(tmp_path / "s.safetensors")
    assert loaded.config == config
    lq, noise = torch.rand(1, 3, 64, 96), torch.randn(noise_shape(64, 96))
    with torch.no_grad():
        assert loaded(lq, noise).shape == lq.shape
        assert torch.equal(loaded(lq, noise), model(lq, noise))


def test_published_layout_is_the_default(tiny_elir: Elir) -> None:
    state = tiny_elir.state_dict()
    assert read_layout(state, "enc", Path("x")) == Layout((64,) * 4, (1, 3, 3, 3))
    assert read_layout(state, "dec", Path("x")) == Layout((64,) * 4, (3, 3, 3, 1))
    assert tiny_elir.config == ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1)


def spoiled(state: dict[str, Tensor], name: str, *shape: int) -> dict[str, Tensor]:
    return {**state, name: torch.zeros(*shape)}


def test_other_layouts_are_refused(student: Elir) -> None:
    state, path = student.state_dict(), Path("x")
    kernel = spoiled(state, "enc.layers.0.weight", 16, 3, 4, 4)
    with pytest.raises(VerificationError, match="enc has 2 resolutions and starts at a kernel of 4: get an ELIR"):
        read_layout(kernel, "enc", path)
    empty = spoiled(state, "dec.layers.0.weight", 0, 16, 3, 3)
    with pytest.raises(VerificationError, match="dec has no channels, or too many blocks"):
        read_layout(empty, "dec", path)
    deep = state | {f"dec.layers.{200 + i}.conv.0.weight": torch.zeros(1) for i in range(20)}
    deep |= {"dec.layers.300.weight": torch.zeros(3, 8, 3, 3)}
    with pytest.raises(VerificationError, match="dec has 5 resolutions"):
        read_layout(deep, "dec", path)


def test_a_layer_too_many_is_told(student: Elir, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    facts = {"k_steps": "1", "sigma_s": "0.1"}
    save_file(
        spoiled(student.state_dict(), "dec.layers.2.conv.0.weight", 7, 24, 3, 3), tmp_path / "s.safetensors", facts
    )
    with pytest.raises(VerificationError, match=r"dec.layers.2.conv.0.weight is \(7, 24, 3, 3\) instead of"):
        load_checkpoint(tmp_path / "s.safetensors")


def test_a_coarse_entry_keeps_the_input_and_the_latent_s_grid(student: Elir) -> None:
    assert student.enc.layers[0].stride == (4, 4)  # type: ignore[comparison-overlap]
    with torch.no_grad():
        assert student.enc(torch.rand(1, 3, 64, 96)).shape == (1, 16, 8, 12)
