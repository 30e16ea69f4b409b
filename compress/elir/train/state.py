"""A training's checkpoint: weights, average, optimiser and step, and the recipe that they belong to."""

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import torch
from pydantic import ValidationError

from compress.elir.state import load_pickled
from compress.errors import InputError, VerificationError
from compress.files import sha256_text, write_buffer
from compress.recipe.train import DistillRun, TrainRecipe
from compress.results.json_text import parse_json
from compress.surroundings import fresh_start

TrainingState: TypeAlias = dict[str, Any]
"""A training checkpoint: the recipe and its hash, weights, averages, the optimizer's state, counters."""
SHOWN = 5  # differences in one message


def recipe_hash(recipe: TrainRecipe | DistillRun) -> str:
    """Names the recipe that a checkpoint belongs to."""
    return sha256_text(recipe.model_dump_json())


def write_state(path: Path, recipe: TrainRecipe | DistillRun, state: TrainingState) -> None:
    """Write a checkpoint of ``recipe`` whole; where that fails, the old one stays.

    Raises InputError (disk full, folder not writable).
    """
    own = {"recipe_hash": recipe_hash(recipe), "recipe": recipe.model_dump(mode="json")}
    buffer = io.BytesIO()
    torch.save(own | state, buffer)
    # Written by torch itself, a full disk would not be an OSError.
    write_buffer(path, buffer)


def read_state(path: Path, recipe: TrainRecipe | DistillRun) -> TrainingState:
    """The checkpoint's contents, on the CPU.

    Raises VerificationError (damaged, or no training checkpoint) or InputError (of another recipe: what differs).
    """
    try:
        state = load_pickled(path)
    except Exception:
        # torch raises UnpicklingError, RuntimeError, EOFError ... by where the damage lies.
        raise VerificationError(damaged_state(path)) from None
    if not isinstance(state, dict) or not {"recipe_hash", "model", "ema", "optimizer"} <= state.keys():
        raise VerificationError(f"{path}: not a training checkpoint: {_advice()}")
    own = state["recipe_hash"]
    if not isinstance(own, str) or own != recipe_hash(recipe):
        _check_recipe(path, state.get("recipe"), recipe)
    at, done = state.get("stage_index"), state.get("step")
    if not (type(at) is type(done) is int and 0 <= at <= len(recipe.stages)) or not 0 <= done <= _steps(recipe, at):
        raise VerificationError(damaged_state(path))
    return state


def _advice() -> str:
    return f"name another folder, or start again ({fresh_start()})"


def damaged_state(path: Path) -> str:
    """What is said of a checkpoint that is damaged."""
    return f"{path}: damaged training checkpoint: start again ({fresh_start()})"


def _steps(recipe: TrainRecipe | DistillRun, stage: int) -> int:
    """Steps that a run can have taken in a stage; none in the one after the last."""
    return recipe.stages[stage].steps if stage < len(recipe.stages) else 0


def _check_recipe(path: Path, stored: Any, recipe: TrainRecipe | DistillRun) -> None:
    """Refuse, unless all that differs is a key that was added to the schema since, left at its default."""
    try:
        stored = parse_json(json.dumps(stored))
    except (TypeError, ValueError, RecursionError):  # a stranger's
        stored = None
    # Checkpoints of earlier versions hold the hash alone.
    changes = list(differences(_with_defaults(stored, type(recipe)), recipe.model_dump(mode="json"))) if stored else []
    if stored and not changes:
        return
    more = [f"and {len(changes) - SHOWN} more"] if len(changes) > SHOWN else []
    what = f" ({'; '.join(changes[:SHOWN] + more)})" if changes else ""
    raise InputError(f"{path}: belongs to another recipe{what}: {_advice()}")


def _with_defaults(stored: Any, schema: type[TrainRecipe | DistillRun]) -> Any:
    try:
        return schema.model_validate(stored).model_dump(mode="json")
    except ValidationError:
        return stored


def take_state(optimizer: torch.optim.AdamW, stored: Any) -> None:
    """Put what AdamW remembered into a new one; settings stay the new one's. Raises what torch raises, and ValueError
    for averages at which torch would fail in the next step.
    """
    optimizer.load_state_dict({**stored, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, kept in optimizer.state.items():
        shapes = {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
        dense = {name: value for name, value in kept.items() if value.layout == torch.strided and not value.is_meta}
        if {name: value.shape for name, value in dense.items()} != shapes:
            raise ValueError("averages of another shape, sparse, or without values")
        step, squares = dense["step"], dense["exp_avg_sq"]
        if not (step.is_floating_point() and step >= 0 and (squares >= 0).all() and _are_finite(dense.values())):
            raise ValueError("averages that are no numbers, or a count below 0")
        kept.update({name: value.clone() for name, value in kept.items()})  # of stride 0, it could not be changed


def _are_finite(tensors: Iterable[torch.Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """One text for each key path whose value differs, e.g. ``stages[0].lr was 0.0003, is 0.0002``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*old, *(key for key in new if key not in old)):
            yield from differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif _mappings(old) and _mappings(new):
        for i, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from differences(before, after, f"{where}[{i}]")
        if len(old) != len(new):
            yield f"{where} had {len(old)} items, has {len(new)}"
    elif old != new:
        yield f"{where} was {_shown(old)}, is {_shown(new)}"


def _mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
