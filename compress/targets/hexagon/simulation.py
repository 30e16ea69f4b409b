"""One artifact through Qualcomm's compiler and simulator, in a process of its own, by the runner that is sent to
devices.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress import __version__
from compress.artifacts.inspect.external_data import files_beside
from compress.artifacts.runtime.base import format_of
from compress.cache import cache_folder
from compress.errors import Unavailable, VerificationError, error_of
from compress.files import sha256_file, sha256_text, whole_file
from compress.python_process import python_command
from compress.recipe.deploy_target import DeployTarget
from compress.targets.entries import Pictures
from compress.targets.job import INPUTS, Job, JobArtifact
from compress.targets.runner.runtimes import OF_PROVIDER, REFUSED
from compress.targets.runner_archive import NAME, runner_archive, runner_sha256
from compress.targets.tools.hexagon_simulator import HexagonSimulator
from compress.text import one_line

LIMIT_S = 3600  # an int8 picture of 256 px takes a minute and a half of two cores
CHIPS = {
    "SM8550": (43, 73),
    "SM8650": (57, 75),
    "SM8750": (69, 79),
    "SC8380XP": (60, 73),
    "QCS6490": (93, 68),
}
"""Qualcomm's number of a chip, and the version of its Hexagon NPU (QNN's table of supported Snapdragon devices)."""
FLOAT = 73
"""The first version whose NPU computes in float16 what is not quantized."""


@dataclass(frozen=True)
class Simulation:
    """``outputs`` (N, 3, H, W) float32 or (N, H, W, 3) uint8; None where the compiler refused it, for ``error``."""

    outputs: np.ndarray | None
    facts: Mapping[str, Any]
    error: str = ""


def simulate(target: DeployTarget, artifact: Path, pictures: Pictures, tool: HexagonSimulator, seed: int) -> Simulation:
    """Run ``artifact`` on ``pictures`` as the target's NPU would.

    What the same simulator ran before is taken from the cache folder. Raises the runner's error where it fails for
    another reason than a refusal, Unavailable where it is not done in time.
    """
    assert target.simulator is not None
    chip, version = CHIPS[target.simulator.soc]
    options = {f"{OF_PROVIDER}backend_type": "htp", f"{OF_PROVIDER}soc_model": chip, f"{OF_PROVIDER}htp_arch": version}
    if version >= FLOAT:
        options[f"{OF_PROVIDER}enable_htp_fp16_precision"] = "1"
    job = Job(
        artifacts={"it": JobArtifact(entry=str(artifact.absolute()))},
        runtime="onnxruntime",
        provider="qnn",
        threads=1,
        options={**options, **target.options},
        seed=seed,
    )
    kept = cache_folder() / "simulated" / f"{_key(job, artifact, pictures, tool)}.npz"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="compress-simulate-") as folder:
            facts = _run(job, Path(folder), pictures, tool)
            if failure := facts.get("error"):
                if REFUSED in failure["message"]:
                    return Simulation(None, {}, one_line(failure["message"].partition(REFUSED)[2].strip(" ()"), 300))
                raise error_of(failure["exit_code"])(f"target {target.name}: {failure['message']}")
            outputs = np.load(Path(folder) / "output-it.npy")
            with whole_file(kept) as part:
                np.savez_compressed(part, outputs=outputs, facts=np.array(json.dumps(facts)))
    with np.load(kept) as stored:
        return Simulation(stored["outputs"], json.loads(str(stored["facts"])))


def _key(job: Job, artifact: Path, pictures: Pictures, tool: HexagonSimulator) -> str:
    files = [artifact, *sorted(files_beside(artifact, format_of(artifact)).values())]
    inputs = sha256_text("".join(values.tobytes().hex() for values in pictures.values()))
    parts = [__version__, job.options, tool.folder.name, *map(sha256_file, files), runner_sha256(), inputs]
    return sha256_text(json.dumps(parts))[:32]


def _run(job: Job, folder: Path, pictures: Pictures, tool: HexagonSimulator) -> dict[str, Any]:
    """What the runner answers: its facts, or an error."""
    np.savez(folder / INPUTS, **pictures)  # type: ignore[arg-type]
    (folder / "job.json").write_text(job.model_dump_json())
    (folder / NAME).write_bytes(runner_archive())
    command = python_command(str(folder / NAME), "count", str(folder), "it")
    try:
        done = subprocess.run(command, capture_output=True, env=tool.environment, timeout=LIMIT_S)
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"Qualcomm's simulator was not done after {LIMIT_S} s: use a smaller model.image_size"
        ) from None
    except ValueError:
        last = one_line((done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1], 200)
        raise VerificationError(f"Qualcomm's simulator ended with {done.returncode} ({last})") from None
    return dict(answer)
