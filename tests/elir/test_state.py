"""Wrappers that training leaves around a model are taken off, and told; the average of the weights goes first."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from compress.elir import load_checkpoint
from compress.elir.model import Elir, ElirConfig
from compress.elir.state import MODULES
from compress.errors import VerificationError

State = dict[str, Tensor]


def named(state: State, prefix: str) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


def spoiled(state: State) -> State:
    return {name: value + 1 for name, value in state.items()}


def parts(state: State, prefix: str) -> dict[str, State]:
    return {
        f"state_dict_{m}": {f"{prefix}{n.removeprefix(f'{m}.')}": v for n, v in state.items() if n.startswith(f"{m}.")}
        for m in MODULES
    }


WRAPPED: dict[str, Any] = {
    "module": lambda s: named(s, "module."),
    "_orig_mod": lambda s: named(s, "_orig_mod."),
    "module._orig_mod": lambda s: named(s, "module._orig_mod."),
    "model": lambda s: {"model": s, "epoch": 3},
    "params": lambda s: {"params": s},
    "params_ema": lambda s: {"params": spoiled(s), "params_ema": s},
    "state_dict / model": lambda s: {"state_dict": named(s, "model."), "epoch": 3, "optimizer_states": [{"lr": 0.1}]},
    "state_dict / ema_model": lambda s: {"state_dict": named(spoiled(s), "model.") | named(s, "ema_model.")},
    "ema_state_dict / module": lambda s: {"state_dict": spoiled(s), "ema_state_dict": named(s, "module.")},
    "module ": lambda s: named(s, "module.") | {"n_averaged": torch.tensor(7)},
    "_orig_mod ": lambda s: parts(s, "_orig_mod."),
    "state_dict": lambda s: {"state_dict": parts(s, "")},
}


@pytest.mark.parametrize("how", WRAPPED)
def test_a_wrapped_model_is_the_model(how: str, tiny_elir: Elir, tmp_path: Path) -> None:
    state = dict(tiny_elir.state_dict())
    torch.save(WRAPPED[how](state), tmp_path / "it.pth")
    loaded = load_checkpoint(tmp_path / "it.pth", 3, 0.1)
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    averaged = ", the averaged weights (EMA)" if "ema" in how else ""
    assert loaded.taken == f"{tmp_path / 'it.pth'}: weights are those inside {how.strip()}{averaged}"


def test_nothing_is_said_of_a_plain_file(tiny_elir: Elir, tmp_path: Path) -> None:
    torch.save(dict(tiny_elir.state_dict()), tmp_path / "it.pth")
    assert load_checkpoint(tmp_path / "it.pth", 3, 0.1).taken == ""


def test_what_is_not_well_known_is_refused(tiny_elir: Elir, tmp_path: Path) -> None:
    torch.save(named(dict(tiny_elir.state_dict()), "teacher."), tmp_path / "it.pth")
    with pytest.raises(VerificationError, match="not an ELIR checkpoint"):
        load_checkpoint(tmp_path / "it.pth", 3, 0.1)


def test_a_built_in_name_loads() -> None:
    assert load_checkpoint("elir_sr_x4").metadata["task"] == "sr_x4"


def test_an_archive_with_any_compressed_part_is_refused(tiny_elir: Elir, tmp_path: Path) -> None:
    """A few MB of zeros, compressed, take gigabytes before torch finds that their size is wrong."""
    torch.save({name: value for name, value in tiny_elir.state_dict().items() if value.ndim == 1}, tmp_path / "it.pth")
    with zipfile.ZipFile(tmp_path / "it.pth") as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    for squeezed in parts:
        with zipfile.ZipFile(tmp_path / "bomb.pth", "w") as archive:
            for name, data in parts.items():
                archive.writestr(name, data, zipfile.ZIP_DEFLATED if name == squeezed else zipfile.ZIP_STORED)
        with pytest.raises(VerificationError, match="its archive is compressed"):
            load_checkpoint(tmp_path / "bomb.pth", 3, 0.1)


@pytest.mark.parametrize("wrapped", [lambda s: s, lambda s: parts(s, ""), lambda s: {"params_ema": s}])
@pytest.mark.parametrize("width", [128, 4096, 2**16])
def test_tensors_that_take_no_room_in_the_file_are_refused(wrapped: Any, width: int, tmp_path: Path) -> None:
    """Each has a stride of 0: the file has 100 kB, the model that it describes up to terabytes."""
    with torch.device("meta"):
        model = Elir(ElirConfig(hid_channels=width))
    state = {name: torch.zeros(1).expand(value.shape) for name, value in model.state_dict().items()}
    torch.save(wrapped(state), tmp_path / "it.pth")
    with pytest.raises(VerificationError, match=r"refused, its tensors would take \d+ bytes"):
        load_checkpoint(tmp_path / "it.pth", 3, 0.1)


DIGITS = "9" * 5000
NAMES = [1, None, b"enc", ("fmir", 2), 1.5, "\x1b[31m", "dec.layers.\u0665.weight", "mmse.lrm.\u00b2.x"]


@pytest.mark.parametrize("name", [*NAMES, f"enc.layers.{DIGITS}.weight", f"mmse.lrm.{DIGITS}.x"])
def test_a_name_that_is_none(name: Any, tiny_elir: Elir, tmp_path: Path) -> None:
    torch.save({**tiny_elir.state_dict(), name: torch.zeros(1)}, tmp_path / "it.pth")
    with pytest.raises(VerificationError, match="another architecture") as caught:
        load_checkpoint(tmp_path / "it.pth", 3, 0.1)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["mmse.lrm.{}.x", "fmir.mid_blocks.{}.x", "enc.layers.{}.block.x"])
def test_names_alone_make_no_deep_network(name: str, tiny_elir: Elir, tmp_path: Path) -> None:
    """Each is 100 bytes in the file, and would be a block of the model: hours, and gigabytes."""
    blocks = {name.format(i): torch.zeros(0) for i in range(10, 20_000)}
    torch.save({**tiny_elir.state_dict(), **blocks}, tmp_path / "it.pth")
    with pytest.raises(VerificationError, match="another architecture"):
        load_checkpoint(tmp_path / "it.pth", 3, 0.1)
