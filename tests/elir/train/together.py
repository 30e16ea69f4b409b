"""Trains tiny networks, and keeps what each step saw. FOLDER [stop after N | poison].

Run alone, by `torchrun`, or with TWO=fork, which stands for it and loads every module once instead of three times.
"""

import json
import os
import socket
import sys
from pathlib import Path

import torch
from torch import Tensor

from compress.elir.model import Elir, ElirConfig
from compress.elir.train.fresh import fresh_model, teacher_model
from compress.elir.train.loop import Training
from compress.elir.train.processes import Processes
from compress.errors import CompressError
from compress.recipe.train import TrainRecipe

SMALL = {"batch": 4, "crop": 64, "warmup": 2, "lr": 1e-4}
LATENTS = {**SMALL, "space": "latents", "crop": 32, "steps": 3, "cached_crops": 5}
WEIGHTS = {"flow_matching": 0.5, "pixel": 0.5, "l1": 1.0, "lpips": 0.5, "color": 0.5, "adversarial": 0.1}
PIXELS = {**SMALL, "space": "pixels", "steps": 3, "modules": ["enc", "mmse", "fmir", "dec"], "weights": WEIGHTS}
RECIPE = {"version": 1, "name": "t", "data": {"train": ["x"]}, "stages": [LATENTS, PIXELS], "checkpoint_minutes": 1e-9}


def batch(index: int, count: int, crop: int, share: slice) -> tuple[Tensor, Tensor]:
    """Noise, the same for the same index; poisoned: no number in the last picture of a pixel step."""
    clean = torch.rand(count, 3, crop, crop, generator=torch.Generator().manual_seed(index))
    if sys.argv[2:] == ["poison"] and count == SMALL["batch"]:
        clean[-1] = torch.nan
    return clean.flip(1)[share], clean[share]


def main(folder: Path, stop: int) -> None:
    """Train; the first process writes ``terms.json`` and ``weights.pt``."""
    torch.manual_seed(5)
    state = Elir(ElirConfig(32, 1, 8, 1)).state_dict()
    autoencoder = {name: value for name, value in state.items() if name.startswith(("enc.", "dec."))}
    model, terms = fresh_model(ElirConfig(32, 1, 8, 1), autoencoder, seed=0), []

    def log(record: dict) -> None:
        if "mmse" in record:
            terms.append(record)
            (folder / "terms.json").write_text(json.dumps(terms))
            if len(terms) > stop:
                raise CompressError("stopped")

    processes = Processes()
    given = TrainRecipe.model_validate(RECIPE)
    training = Training(given, model, teacher_model(autoencoder), batch, folder, log, processes=processes)
    result = training.run()
    if processes.first:
        torch.save(result.state_dict(), folder / "weights.pt")


def become_two() -> None:
    """Go on as two processes, each with torchrun's environment; this one ends with 1 unless both end with 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    children = []
    for rank in map(str, range(2)):
        if not (child := os.fork()):
            os.environ |= meeting | {"LOCAL_WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank}
            return
        children.append(child)
    sys.exit(int(any(os.waitpid(child, 0)[1] for child in children)))


if __name__ == "__main__":
    if os.environ.get("TWO") == "fork":
        become_two()
    out = Path(sys.argv[1])
    out.mkdir(exist_ok=True)
    try:
        with Processes().one_voice():
            main(out, int(sys.argv[2]) if sys.argv[2:] and sys.argv[2] != "poison" else 99)
    except CompressError as error:
        print(f"told: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
