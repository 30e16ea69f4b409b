"""Wrappers that training leaves around a model are taken off, and told; the average of the weights goes first."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from compress.elir import load_checkpoint
from compress.elir.model import Elir
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
