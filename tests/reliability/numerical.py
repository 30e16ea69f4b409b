"""NaN and Inf are named where they arise; the same recipe gives the same bytes in other processes, on other threads."""

import os
from pathlib import Path
from typing import Any

from tests.reliability.base import APPLY_LIMIT_S, Base, emptied
from tests.reliability.crash import stable_hashes
from tests.reliability.process import command, forked
from tests.reliability.section import Section, problems

POISONS = ("nan", "inf", "overflow")


def run(base: Base, section: Section) -> None:
    """Poisoned weights of each network, then the tiny recipe on one and on two threads."""
    for network in ("enc", "mmse", "fmir", "dec"):
        for poison in POISONS:
            _poisoned(base, section, network, poison)
    _threads(base, section)


def _poisoned(base: Base, section: Section, network: str, poison: str) -> None:
    """`apply` must end in 2 or 5 and name a layer or tensor of the network."""
    folder = emptied(base.folder / "case")
    write_poisoned(base.checkpoint, folder / "bad.safetensors", network, poison)
    arguments = [
        "apply",
        str(base.recipe),
        "--out",
        str(folder / "out"),
        "--set",
        f"model.weights={folder}/bad.safetensors",
    ]
    ended = forked(command(arguments, folder, watched=False), folder / "log", APPLY_LIMIT_S)
    last = next(reversed(ended.err.strip().splitlines()), "")
    faults = problems(ended, {2, 5})
    if not faults and not ("NaN or Inf" in last and "." in last):
        faults = [f"does not name where: {last[:200]}"]
    section.add(f"{poison} in the weights", faults, network, ended)


def write_poisoned(source: Path, to: Path, network: str, poison: str) -> None:
    """A checkpoint whose first convolution of ``network`` holds NaN or Inf, or is finite and overflows in float32."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    state: dict[str, Any] = {name: value.float() for name, value in load_file(source).items()}
    name = min(n for n, v in state.items() if n.startswith(f"{network}.") and v.ndim == 4)
    if poison == "overflow":
        state[name] = torch.full_like(state[name], 3e38)
    else:
        state[name].view(-1)[0] = float(poison)
    with safe_open(source, framework="pt") as file:
        save_file(state, to, file.metadata())


def _threads(base: Base, section: Section) -> None:
    """Bytes of artifacts: this process's, and those of a process on one and on two threads."""
    wanted = _artifacts(base.bundle())
    for threads in (1, 2):
        folder = emptied(base.folder / "case")
        arguments = ["apply", str(base.inputs / "tiny-openvino.yaml"), "--out", str(folder / "out")]

        def before(threads: int = threads) -> None:
            import torch

            os.environ["OMP_NUM_THREADS"] = str(threads)
            torch.set_num_threads(threads)

        ended = forked(command(arguments, folder, watched=False, before=before), folder / "log", APPLY_LIMIT_S)
        faults = problems(ended, {0})
        differ = [name for name, digest in wanted.items() if _artifacts(folder / "out").get(name) != digest]
        section.add(
            "same bytes from another process", [*faults, *(f"{name} differs" for name in differ)], f"{threads} threads"
        )


def _artifacts(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in stable_hashes(folder).items() if Path(name).name.startswith("model")}
