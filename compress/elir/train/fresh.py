"""Where training starts: fresh networks around a trained autoencoder, and the frozen teacher."""

from collections.abc import Mapping

import torch
from torch import Tensor

from compress.elir.model import Elir, ElirConfig


def fresh_model(config: ElirConfig, autoencoder: Mapping[str, Tensor], seed: int) -> Elir:
    """Seeded MMSE and flow nets; ``enc`` and ``dec`` from ``autoencoder`` (``load_autoencoder``'s names)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Elir(config)
    _put(autoencoder, model)
    # A fresh MMSE net gives about twice its input; halving what it gets starts it near the identity.
    with torch.no_grad():
        for parameter in model.enc.layers[-1].parameters():
            parameter.mul_(0.5)
    return model


def teacher_model(autoencoder: Mapping[str, Tensor]) -> Elir:
    """The frozen autoencoder, in a model whose other networks, the smallest there are, are not used."""
    with torch.random.fork_rng(devices=[]):
        teacher = Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1))
    _put(autoencoder, teacher)
    return teacher.requires_grad_(False)


def _put(autoencoder: Mapping[str, Tensor], model: Elir) -> None:
    for name in ("enc", "dec"):
        part = {k.removeprefix(f"{name}."): v for k, v in autoencoder.items() if k.startswith(f"{name}.")}
        getattr(model, name).load_state_dict(part)
