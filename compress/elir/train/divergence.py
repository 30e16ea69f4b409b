"""A loss or gradient that is not a number: the step is saved with all that is needed to see it again."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compress.elir.model import Elir
from compress.elir.train.adversary import Discriminator, deceit
from compress.elir.train.objective import Objective
from compress.errors import VerificationError
from compress.files import whole_file
from compress.recipe.train import TrainRecipe
from compress.tensors import read_tensors

_MODEL, _DISCRIMINATOR = "model.", "discriminator."


def save_step(
    path: Path,
    batch: tuple[Tensor, Tensor],
    random: Tensor,
    model: Elir,
    discriminator: Discriminator | None,
    facts: Mapping[str, object],
) -> None:
    """Write a step as safetensors: ``degraded`` and ``clean`` as the networks took them, ``random`` (state of torch's
    generator right after the batch was drawn), the weights as ``model.*`` and, of an adversarial term,
    ``discriminator.*``; ``facts`` as metadata, in JSON.

    Raises InputError when the file cannot be written.
    """
    from safetensors.torch import save as as_bytes

    tensors = {"degraded": batch[0], "clean": batch[1], "random": random}
    for prefix, network in ((_MODEL, model), (_DISCRIMINATOR, discriminator)):
        own = network.state_dict() if network is not None else {}
        tensors |= {f"{prefix}{name}": value for name, value in own.items()}
    state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with whole_file(path) as part:
        part.write_bytes(as_bytes(state, {key: json.dumps(value) for key, value in facts.items()}))


def read_step(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, facts) of ``save_step``. Raises VerificationError when the file is damaged or another."""
    try:
        tensors, metadata = read_tensors(path)
        facts = {key: json.loads(value) for key, value in metadata.items()}
    except Exception:
        # safetensors raises errors of its own, OSError and ValueError by where the damage lies.
        raise VerificationError(f"{path}: not a readable saved step: give a diverged.safetensors") from None
    if not {"degraded", "clean", "random"} <= tensors.keys() or "stage" not in facts:
        raise VerificationError(f"{path}: not a saved step: give a diverged.safetensors")
    return tensors, facts


def replay(path: Path, recipe: TrainRecipe, model: Elir, teacher: Elir) -> dict[str, float]:
    """The loss's terms at the saved step, computed again; ``model`` then holds its weights, and its gradients.

    ``model`` and ``teacher`` as the run built them (``compress.elir.train.run.build_model``, ``build_teacher``).
    """
    tensors, facts = read_step(path)
    model.load_state_dict(_state(tensors, _MODEL))
    judge = None
    if own := _state(tensors, _DISCRIMINATOR):
        discriminator = Discriminator()
        discriminator.load_state_dict(own)
        judge = partial(deceit, discriminator)
    stage = recipe.stages[facts["stage"]]
    model.requires_grad_(False)
    for name in stage.modules:
        getattr(model, name).requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(tensors["random"])
        terms = Objective(model, teacher, recipe.model, stage, judge=judge)(tensors["degraded"], tensors["clean"])
    torch.stack(list(terms.values())).sum().backward()
    return {name: value.item() for name, value in terms.items()}


def _state(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
