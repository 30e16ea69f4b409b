"""Artifacts on a deploy target, however it is reached -> ``performance`` entries of results.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import GoalMissed, InputError, Unavailable
from compress.measure.latency import Mode
from compress.recipe.schema import DeployTarget
from compress.targets.entries import EMPTY, Artifacts, Pictures, kernels_of
from compress.targets.local import bench_local, check_arch
from compress.targets.tools import tool

if TYPE_CHECKING:
    import numpy as np

    from compress.progress import Progress

TOOLS = {"emulator": "arm-emulator", "vendor-compiler": "intel-npu-compiler", "parser": "tensorrt-rtx"}
"""What stands in for a device that is not here, by ``reach``."""
EVIDENCE = {
    "local": "measured",
    "ssh": "measured",
    "emulator": "emulated",
    "vendor-compiler": "estimated",
    "parser": "parsed",
    "browser": "measured",
}
"""What a target's figures stand on, by ``reach``."""
MEANS = {
    "emulator": "an emulator gives no time",
    "vendor-compiler": "a compiler only estimates",
    "parser": "a parser only accepts or refuses",
}


@dataclass(frozen=True)
class BenchResult:
    """What ``compress bench`` found. ``why``: the one line that says why nothing was measured, if so."""

    bundle: Path
    performance: list[dict[str, Any]]
    why: str | None = None

    @property
    def exit_code(self) -> int:
        """4: something was not measured; 3: a gate of the target was missed."""
        if self.why:
            return Unavailable.exit_code
        return GoalMissed.exit_code if self.missed else 0

    @property
    def missed(self) -> list[str]:
        """The target's gates that were missed, one line each."""
        found = [(entry, entry.get("delegated") or {}) for entry in self.performance]
        return [
            f"target {entry['target']}: {entry['artifact']}: ExecuTorch's backend runs {gate['share']:.1%} of the "
            f"multiply-accumulates, min_delegated asks for {gate['min']:.1%}: see delegated.outside"
            for entry, gate in found
            if gate.get("met") is False
        ]

    def to_json(self) -> dict[str, Any]:
        """bundle, performance."""
        return {"bundle": str(self.bundle), "performance": self.performance}


def at_host(target: DeployTarget, host: str) -> DeployTarget:
    """``target`` as the device ``host``, reached by ssh. Raises InputError for what ssh would not take."""
    from pydantic import ValidationError

    settings = target.model_dump(exclude={"emulator", "compiler", "browser", "reach"})
    try:
        return DeployTarget.model_validate(
            {**settings, "reach": "ssh", "ssh": {**(settings["ssh"] or {}), "host": host}}
        )
    except ValidationError:
        raise InputError(
            f"--host {host!r}: no host that ssh takes: give user@name, or a Host of ~/.ssh/config"
        ) from None


def missing_tool(target: DeployTarget) -> str | None:
    """The one line that says what to set up where ``target`` is stood in for by a tool that is not here; or None."""
    if target.reach not in TOOLS or npu_here(target) or (found := tool(TOOLS[target.reach])).ready:
        return None
    return (
        f"target {target.name}: {found.name} is not set up here ({MEANS[target.reach]}): run "
        f"`{found.setup_command}` ({found.download_mb} MB to download); for the device itself, give its --host"
    )


def check_target(target: DeployTarget) -> None:
    """Raise Unavailable, within seconds, when ``target`` cannot be measured from here."""
    if why := missing_tool(target):
        raise Unavailable(why)
    if target.reach == "local":
        check_arch(target)
    if target.browser is not None:
        from compress.targets.browser.chromium import find_browser

        find_browser(target.browser.program)
    if target.ssh is not None:
        from compress.targets.ssh.device import contact

        contact(target.name, target.ssh)


def npu_here(target: DeployTarget) -> bool:
    """Whether this machine has the very NPU that a target's vendor compiler compiles for."""
    if target.compiler is None:
        return False
    from compress.artifacts.runtime.openvino_runner import npu_architecture

    return npu_architecture() == target.compiler.platform.removeprefix("NPU")


def evidence_of(target: DeployTarget) -> str:
    """What figures of ``target`` will stand on when it can be benched from here."""
    return "measured" if npu_here(target) else EVIDENCE[target.reach]


def runs(target: DeployTarget, artifact: str, format: str) -> bool:
    """Whether a target's kernels run an artifact: its format and precision; TensorRT takes its own int8 file."""
    precision = kernels_of(artifact)
    own = "tensorrt" in artifact.split("-")
    fits = own == (target.runtime == "tensorrt" and precision == "int8")
    return format == target.format and precision in target.precisions and fits


def unavailable(target: DeployTarget, artifacts: Sequence[str], why: str) -> list[dict[str, Any]]:
    """Entries that say that nothing was measured, and why."""
    common = {"target": target.name, "evidence": "unavailable", **EMPTY, "why": why}
    return [{"artifact": name, **common} for name in artifacts]


def bench_target(
    artifacts: Artifacts,
    target: DeployTarget,
    pictures: Pictures,
    mode: Mode,
    progress: "Progress",
    seed: int = 0,
    macs: int | None = None,
) -> list[dict[str, Any]]:
    """Measure every artifact that ``target`` runs. Raises Unavailable, VerificationError, as the way there does.

    ``macs``: the model's multiply-accumulates, for ``delegated``: what share of them ExecuTorch's backend runs, what is
    left outside and why, and whether the target's ``min_delegated`` is met.
    """
    chosen = {name: item for name, item in artifacts.items() if runs(target, name, item[1])}
    if not chosen:
        return []
    entries = _bench(chosen, target, pictures, mode, progress, seed)
    if target.runtime == "executorch":
        for entry in entries:
            entry["delegated"] = _delegated(chosen[entry["artifact"]][0], target.min_delegated, macs)
    return entries


def _delegated(path: Path, least: float | None, macs: int | None) -> dict[str, Any]:
    from compress.artifacts.inspect.delegation import coverage

    found = coverage(path).to_json(macs)
    share = found["share"]
    met = None if least is None or share is None else share >= least
    return {**found, "min": least, "met": met}


def _bench(
    chosen: Artifacts, target: DeployTarget, pictures: Pictures, mode: Mode, progress: "Progress", seed: int
) -> list[dict[str, Any]]:
    if target.reach == "ssh":
        from compress.targets.ssh.bench import bench_over_ssh

        return bench_over_ssh(chosen, target, pictures, mode, progress, seed)
    if target.reach == "emulator":
        from compress.targets.emulator.bench import bench_emulated

        return bench_emulated(chosen, target, pictures, mode, progress)
    if target.reach == "vendor-compiler" and not npu_here(target):
        from compress.targets.npu.bench import bench_compiled

        return bench_compiled(chosen, target, progress)
    if target.reach == "parser":
        from compress.targets.tensorrt.bench import bench_parsed

        return bench_parsed(chosen, target, progress)
    if target.reach == "browser":
        from compress.targets.browser.bench import bench_browser

        return bench_browser(chosen, target, pictures, mode, progress, seed)
    return bench_local(chosen, target, pictures, mode, progress, seed)


def sample_pictures(bundle: Path, samples: Sequence[Mapping[str, Any]], noise_seed: int) -> Pictures:
    """The bundle's sample pictures: input, noise, truth where there is any, every artifact's output.

    The first also as it is simulated in 8 bits.
    """
    import numpy as np

    from compress.data.pictures import read_rgb
    from compress.elir.noise import picture_noise

    def stacked(paths: Sequence[str]) -> "np.ndarray":
        return np.stack([read_rgb(bundle / path) for path in paths])

    lq = stacked([sample["degraded"] for sample in samples])
    noise = [picture_noise(lq.shape[1], noise_seed, sample["index"]).numpy() for sample in samples]
    outputs = {f"output-{name}": stacked([s["outputs"][name] for s in samples]) for name in samples[0]["outputs"]}
    # Bundles from before these were kept have none.
    outputs |= {f"simulated-{name}": stacked([path]) for name, path in samples[0].get("simulated", {}).items()}
    truth = {"clean": stacked([sample["clean"] for sample in samples])} if samples[0].get("clean") else {}
    return {"lq": lq, "noise": np.concatenate(noise), **truth, **outputs}
