"""A decoder that two checkpoints share: stored once, checked when read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from compress.elir.checkpoint import load_checkpoint, save_checkpoint
from compress.elir.convert import convert
from compress.elir.metadata import count_values
from compress.elir.model import Elir
from compress.errors import InputError, VerificationError

STRANGE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "sparse": (lambda value: value.to_sparse(), "sparse_coo"),
    "without values": (lambda value: value.to("meta"), "no values"),
    "quantized": (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "qint8"),
    "nested": (lambda value: torch.nested.nested_tensor(list(value)), "a nested tensor"),
}
"""What a pickled checkpoint may hold in the place of floats."""


@pytest.fixture
def owner(tiny_elir: Elir, tmp_path: Path) -> Path:
    path = tmp_path / "owner.safetensors"
    save_checkpoint(tiny_elir, path, {"task": "sr_x4"})
    return path


@pytest.fixture
def shares(owner: Path, tmp_path: Path) -> Path:
    """Another task's model with the owner's decoder, which its file leaves out."""
    model = load_checkpoint(owner)
    with torch.no_grad():
        model.enc.layers[0].weight.mul_(0.5)
    path = tmp_path / "shares.safetensors"
    save_checkpoint(model, path, {"task": "deblur"}, decoder_of=owner)
    return path


def test_the_decoder_is_stored_once_and_read_whole(owner: Path, shares: Path) -> None:
    with safe_open(shares, "pt") as file:
        assert not [name for name in file.keys() if name.startswith("dec.")]  # noqa: SIM118
    assert shares.stat().st_size < owner.stat().st_size
    a, b = load_checkpoint(owner).state_dict(), load_checkpoint(shares).state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a if name.startswith("dec."))
    assert not torch.equal(a["enc.layers.0.weight"], b["enc.layers.0.weight"])
    assert count_values(shares) == count_values(owner) == {name: value.numel() for name, value in a.items()}


def test_converted_it_is_whole_and_needs_no_other(shares: Path, tmp_path: Path) -> None:
    whole = tmp_path / "elsewhere" / "whole.safetensors"
    convert(shares, whole)
    assert load_checkpoint(whole).metadata == load_checkpoint(shares).metadata
    (tmp_path / "again.safetensors").write_bytes(b"")
    convert(whole, tmp_path / "again.safetensors", decoder_of=tmp_path / "owner.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == shares.read_bytes()


def test_alone_it_says_what_is_missing(shares: Path, owner: Path) -> None:
    owner.unlink()
    text = r"its decoder is in owner\.safetensors, which is not beside it: put both into one folder"
    with pytest.raises(VerificationError, match=text):
        load_checkpoint(shares)


def test_another_decoder_is_refused(shares: Path, owner: Path) -> None:
    model = load_checkpoint(owner)
    with torch.no_grad():
        model.dec.layers[0].bias.add_(0.5)  # type: ignore[operator]
    save_checkpoint(model, owner, {})
    with pytest.raises(VerificationError, match=r"not the decoder that shares\.safetensors was saved with"):
        load_checkpoint(shares)
    with pytest.raises(InputError, match="has another decoder than the model: leave the decoder in"):
        save_checkpoint(model, shares, {}, decoder_of=_other(owner))
    assert "decoder_of" in _metadata(shares)


def test_a_path_is_not_followed(owner: Path, tmp_path: Path) -> None:
    model = load_checkpoint(owner)
    away = tmp_path / "deep" / "x.safetensors"
    with pytest.raises(InputError, match="a shared decoder must lie beside"):
        save_checkpoint(model, away, {}, decoder_of=owner)
    save_checkpoint(model, away, {"decoder_of": "../owner.safetensors", "decoder_sha256": "0"})
    with pytest.raises(
        VerificationError, match=r"cannot be in '\.\./owner\.safetensors', that is not a file beside it"
    ):
        load_checkpoint(away)


def test_published_formats_are_whole(shares: Path, owner: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a published format holds its own decoder: leave decoder_of out"):
        convert(shares, tmp_path / "x.pth", decoder_of=owner)


def _other(owner: Path) -> Path:
    """A checkpoint beside ``owner`` with other weights everywhere."""
    model = load_checkpoint(owner)
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(2)
    save_checkpoint(model, path := owner.with_name("other.safetensors"), {})
    return path


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


@pytest.mark.parametrize(("kind", "text"), STRANGE.values(), ids=STRANGE)
def test_tensors_of_any_kind_are_no_decoder(
    kind: Callable[[Tensor], Tensor], text: str, owner: Path, shares: Path, tmp_path: Path
) -> None:
    state = load_checkpoint(owner).state_dict()
    odd = {name: kind(value) if name == "dec.layers.0.weight" else value for name, value in state.items()}
    torch.save(odd, tmp_path / "odd.pth")
    message = f"odd.pth: dec.layers.0.weight holds {text}, not floats: get a float checkpoint"
    with pytest.raises(VerificationError, match=message):
        convert(owner, tmp_path / "x.safetensors", decoder_of=tmp_path / "odd.pth")
    with safe_open(shares, "pt") as file:
        rest = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = {**file.metadata(), "decoder_of": "odd.pth"}
    save_file(rest, shares, metadata)
    with pytest.raises(VerificationError, match=message):
        load_checkpoint(shares)
    with pytest.raises(VerificationError, match=message):
        load_checkpoint(tmp_path / "odd.pth", 3, 0.1)
