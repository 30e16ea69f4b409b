"""Between our checkpoint format and the published ones."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from compress.elir.checkpoint import check_finite, load_checkpoint, save_checkpoint
from compress.elir.metadata import read_metadata
from compress.elir.model import Elir, ElirConfig
from compress.elir.overparam import collapse, expand
from compress.elir.state import MODULES
from compress.errors import InputError
from compress.files import check_output, whole_file
from compress.recipe.published import ReleaseFile, by_widths
from compress.recipe.task import TASKS
from compress.text import printable

SUFFIXES = {
    ".safetensors": "ours: collapsed, with metadata",
    ".pth": "published: one flat state dict, collapsed, float32",
    ".ckpt": "published, of training: four state dicts, over-parametrised, float32",
}

NAMED = 10  # of what a published format does not hold


def convert(
    source: Path,
    target: Path,
    k_steps: int | None = None,
    sigma_s: float | None = None,
    task: str | None = None,
    *,
    half: bool = True,
    decoder_of: Path | None = None,
) -> str:
    """Write ``source`` again as ``target``, in the format of its suffix (``SUFFIXES``).

    The published formats hold no metadata: K and sigma_s go lost there, and must be given (``k_steps``, ``sigma_s``)
    on the way back. Only those of the authors' own checkpoints are known, by widths and ``task``; their ``k_trained``,
    the segments of the training, is written too. ``task`` is written into ours. ``half``: ours in float16, else in
    float32. A model that was collapsed is over-parametrised again for .ckpt: it computes the same, but is not the one
    that was trained. ``decoder_of``: a checkpoint in the target's folder with the same decoder; ours leaves it out.
    Returns what its user should know, a line each: which of the file's weights were taken, where it holds more than a
    model, what was assumed of it, where the new file says otherwise, and that it records no task.
    Raises InputError for an unknown suffix or task, source equal to target, or a ``decoder_of`` that cannot serve, and
    what reading raises.
    """
    if target.suffix not in SUFFIXES:
        raise InputError(f"{target}: unknown checkpoint suffix: use {', '.join(SUFFIXES)}")
    check_output(target, filter(None, (source, decoder_of)))
    if task is not None and task not in TASKS:
        raise InputError(f"{task}: unknown task: use one of {', '.join(TASKS)}")
    known = read_metadata(source) if source.suffix == ".safetensors" and source.is_file() else {}
    published = target.suffix != ".safetensors"
    if published and decoder_of is not None:
        raise InputError(f"{target}: a published format holds its own decoder: leave decoder_of out (--decoder-of)")
    # Any K and sigma_s will do to read a source that lacks them: no part of a published file, and looked up for ours.
    k = k_steps if k_steps is not None or "k_steps" in known else 3
    sigma = sigma_s if sigma_s is not None or "sigma_s" in known else 0.1
    model = load_checkpoint(source, k, sigma)
    if published:
        if model.config.residual:
            raise InputError(
                f"{target}: a published format cannot tell that the decoder's picture is added to the input: "
                "write .safetensors"
            )
        _save_published(model, target)
        return _lines(model.taken, _lost(target, model))
    facts: dict[str, str] = {"task": task} if task else {}
    note = ""
    if not {"k_steps", "sigma_s"} <= known.keys():
        numbers_given = k_steps is not None, sigma_s is not None
        like = _published(source, model.config, task, numbers_given=all(numbers_given))
        if like is not None:
            model.k_steps = like.k_steps if k_steps is None else k_steps
            model.sigma_s = like.sigma_s if sigma_s is None else sigma_s
            facts = {"task": like.task, "k_trained": str(like.k_trained)}
            note = "" if all(numbers_given) else _taken_for(source, like, model)
    collapse(model)
    model.config = replace(model.config, over_param=False)
    facts = {**model.metadata, **facts}
    save_checkpoint(model, target, facts, torch.float16 if half else torch.float32, decoder_of)
    untold = f"{target}: does not record what it is for: convert it with its task (--task)"
    untold = "" if facts.get("task") in TASKS else untold
    return _lines(model.taken, note, _changes(source, known, model, facts), untold)


def _lines(*notes: str) -> str:
    """A line each; a file's own words, which may be a stranger's, make no line of their own."""
    return "\n".join(map(printable, filter(None, notes)))


def _lost(target: Path, model: Elir) -> str:
    """What a published format does not hold of ``model``: its numbers, and the names of what else its file records."""
    task = model.metadata.get("task")
    numbers = [*([f"task {task}"] if task else []), f"K {model.k_steps}", f"sigma_s {model.sigma_s:g}"]
    told_by_weights = {"format", *ElirConfig.__dataclass_fields__}
    names = sorted(model.metadata.keys() - told_by_weights - {"task"})
    lost = [*numbers, *names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])]
    return f"{target}: this format does not hold {', '.join(lost)}: keep them elsewhere"


def _changes(source: Path, known: Mapping[str, str], model: Elir, facts: Mapping[str, str]) -> str:
    """What ``source`` records and the new file says otherwise; "" where they agree."""
    new = {"task": facts.get("task", ""), "k_steps": str(model.k_steps), "sigma_s": f"{model.sigma_s:g}"}
    old = {**known, "sigma_s": f"{float(known['sigma_s']):g}"} if "sigma_s" in known else known
    differ = [name for name, value in new.items() if old.get(name, value) != value]
    changes = [f"{name} {old[name]}, the new file {new[name]}" for name in differ]
    return f"{source}: records {'; '.join(changes)}, as was asked" if changes else ""


def _published(source: Path, config: ElirConfig, task: str | None, *, numbers_given: bool) -> ReleaseFile | None:
    """The authors' checkpoint that ``source`` is, by its widths and ``task``.

    None when it is not one of theirs, or nobody says so. Raises InputError when its K and sigma_s would be a guess.
    """
    like = by_widths((config.hid_channels, config.n_mid_blocks, config.c_hid, config.n_rrdb), task)
    if numbers_given and (task is None or not like):
        return None
    if len(like) == 1:
        return like[0]
    lacks = "k_steps, sigma_s or task" if task is None else "k_steps or sigma_s"
    asked = "all three (--k-steps, --sigma-s, --task)" if task is None else "both (--k-steps, --sigma-s)"
    tasks = f"; of a published one, task alone: {' or '.join(m.task for m in like)}" if like else ""
    raise InputError(f"{source}: holds no {lacks}: give {asked}{tasks}")


def _taken_for(source: Path, like: ReleaseFile, model: Elir) -> str:
    return (
        f"{source}: taken for the published {like.file} by its widths: task {like.task}, K {model.k_steps}, "
        f"sigma_s {model.sigma_s:g}; give others where that is wrong (--task, --k-steps, --sigma-s)"
    )


def _save_published(model: Elir, path: Path) -> None:
    training = path.suffix == ".ckpt"
    if training:
        expand(model)
    else:
        collapse(model)
    state = {name: value.detach().float().contiguous() for name, value in model.state_dict().items()}
    check_finite(state, path)
    parts = {
        f"state_dict_{m}": {n.removeprefix(f"{m}."): v for n, v in state.items() if n.startswith(f"{m}.")}
        for m in MODULES
    }
    # Through memory: torch names the archive inside by the file, which is a temporary one here.
    buffer = io.BytesIO()
    torch.save(parts if training else state, buffer)
    with whole_file(path) as part:
        part.write_bytes(buffer.getvalue())
