"""Folders of trainings that a stranger began: links, pipes and devices in place of what the next run goes on with."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.reliability.base import Base
from tests.reliability.hostile.folders import MAKERS
from tests.reliability.process import command, forked
from tests.reliability.tiny import write_training_recipe

NAMES = ("metrics.jsonl", "checkpoint.pt", "learnt.safetensors", "samples", ".lock", ".stages/a", "int8/onnx")
PATHS = (
    *(("recipe_hash",), ("recipe",), ("stage_index",), ("step",), ("model",), ("ema",), ("optimizer",)),
    *(("model", "enc.layers.0.weight"), ("optimizer", "state"), ("optimizer", "state", 0)),
    *(("optimizer", "state", 0, "exp_avg"), ("optimizer", "state", 0, "step"), ("optimizer", "param_groups")),
)
ODD = ("none", "text", "list", "mapping", "huge", "shape", "scalar", "sparse", "meta", "repeated", "gone")


def strategy(base: Base) -> st.SearchStrategy[Any]:
    """(what stands where, the place of a checkpoint's value and what is there, whether it begins afresh)."""
    things = st.sampled_from([*MAKERS, "outside", "new outside"])
    entries = st.dictionaries(st.sampled_from(NAMES), things, min_size=1, max_size=2)
    spoilt = st.tuples(st.just({}), st.tuples(st.sampled_from(PATHS), st.sampled_from(ODD)), st.just(False))
    return st.one_of(st.tuples(entries, st.none(), st.booleans()), spoilt)


def prepare(base: Base, example: Any, folder: Path) -> Sequence[str]:
    """Make the folder that `compress train` goes on in."""
    import torch

    entries, spoilt, fresh = example
    state = _checkpoint(base)
    out, outside = folder / "out", folder.parent / "outside"
    out.mkdir()
    outside.write_text("x")
    (out / ".compress.json").write_text(json.dumps({"kind": "training run", "name": "learnt"}))
    if spoilt is not None:
        _spoil(state, *spoilt)
        torch.save(state, out / "checkpoint.pt")
    for name, thing in entries.items():
        path = out / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        if "outside" in thing:
            path.symlink_to(outside if thing == "outside" else folder.parent / "new")
        else:
            MAKERS[thing](path)
    return ["train", str(_recipe(base)), "--out", str(out), *(["--fresh"] if fresh else [])]


def _recipe(base: Base) -> Path:
    """Of two steps: a checkpoint is written after the first."""
    path = write_training_recipe(base.inputs)
    path.write_text(path.read_text().replace("steps: 40", "steps: 2").replace("0.001", "1e-9"))
    return path


def _checkpoint(base: Base) -> dict[Any, Any]:
    """What a run that was stopped after its first step leaves; made once."""
    import torch

    from compress.elir.train.state import TrainingState

    kept = base.folder / "begun.pt"
    if not kept.is_file():

        def one_step() -> int:
            from compress.elir.train.loop import Training

            save = Training._save

            def save_and_stop(self: Training) -> None:
                save(self)
                self.checkpoint.rename(kept)
                raise SystemExit(0)

            Training._save = save_and_stop  # type: ignore[method-assign]
            return command(["train", str(_recipe(base)), "--out", str(base.folder / "begun")], base.folder)()

        ended = forked(one_step, base.folder / "log", 600)
        if not kept.is_file():
            raise RuntimeError(f"the tiny training itself failed with {ended.code}: {ended.err[-2000:]}")
    state: TrainingState = torch.load(kept, weights_only=True)
    return state


def _spoil(state: Any, path: Sequence[Any], how: str) -> None:
    import torch

    *above, last = path
    for key in above:
        state = state[key]
    value = state[last]
    shape = value.shape if isinstance(value, torch.Tensor) else (2,)
    if how == "gone":
        del state[last]
        return
    state[last] = {
        "none": None,
        "text": "x\x1b[2J",
        "list": [1],
        "mapping": {"x": 1},
        "huge": 10**30,
        "shape": torch.ones(3),
        "scalar": torch.ones(()),
        "sparse": torch.ones(shape).to_sparse(),
        "meta": torch.ones(shape, device="meta"),
        "repeated": torch.ones(()).expand(shape),
    }[how]
