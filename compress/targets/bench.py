"""Artifacts on a deploy target, however it is reached -> ``performance`` entries of results.json."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.artifacts.artifact import Artifact
from compress.errors import GoalMissed, InputError, Unavailable, VerificationError
from compress.recipe.backends import variant_of
from compress.recipe.deploy_target import DeployTarget
from compress.recipe.target_parts import Reach
from compress.results.performance import Delegation, Evidence, Performance
from compress.results.sample import Sample
from compress.targets.entries import Bench, Pictures, untimed
from compress.targets.local import bench_local, check_arch
from compress.targets.tools import Tool, tool

if TYPE_CHECKING:
    import numpy as np

TOOLS = {
    "emulator": "arm-emulator",
    "simulator": "hexagon-simulator",
    "vendor-compiler": "intel-npu-compiler",
    "parser": "tensorrt-rtx",
}
"""What stands in for a device that is not here, by ``reach``."""
EVIDENCE: dict[Reach, Evidence] = {
    "local": "measured",
    "ssh": "measured",
    "emulator": "emulated",
    "simulator": "emulated",
    "vendor-compiler": "estimated",
    "parser": "parsed",
    "browser": "measured",
    "lowering": "compiled",
}
"""What a target's figures stand on, by ``reach``."""
MEANS = {
    "emulator": "an emulator gives no time",
    "simulator": "a simulator gives no time",
    "vendor-compiler": "a compiler only estimates",
    "parser": "a parser only accepts or refuses",
}


@dataclass(frozen=True)
class BenchResult:
    """What ``compress bench`` found. ``why``: the one line that says why nothing was measured, if so."""

    bundle: Path
    performance: list[Performance]
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
        return [
            f"target {entry.target}: {entry.artifact}: ExecuTorch's backend runs {gate.share:.1%} of the "
            f"multiply-accumulates, min_delegated asks for {gate.min:.1%}: see delegated.outside"
            for entry in self.performance
            if (gate := entry.delegated) and gate.met is False
        ]

    def to_json(self) -> dict[str, Any]:
        """The bundle and its performance entries, as plain data."""
        return {"bundle": str(self.bundle), "performance": [entry.to_json() for entry in self.performance]}


def at_host(target: DeployTarget, host: str) -> DeployTarget:
    """``target`` as the device ``host``, reached by ssh. Raises InputError for what ssh would not take."""
    from pydantic import ValidationError

    if target.reach == "lowering":
        raise InputError(
            f"target {target.name}: is only compiled for, an app on the device runs it: leave the host out"
        )
    if target.backend != "xnnpack":
        raise InputError(f"target {target.name}: is measured by a runtime built on this machine: leave the host out")
    settings = target.model_dump(exclude={"emulator", "simulator", "compiler", "browser", "reach"})
    try:
        return DeployTarget.model_validate(
            {**settings, "reach": "ssh", "ssh": {**(settings["ssh"] or {}), "host": host}}
        )
    except ValidationError:
        raise InputError(f"host {host!r}: no host that ssh takes: give user@name, or a Host of ~/.ssh/config") from None


def missing_tool(target: DeployTarget) -> str | None:
    """The one line that says what to set up where ``target`` needs a tool that is not here; or None."""
    needed = needed_tool(target)
    if needed is None or needed.ready:
        return None
    if target.reach not in TOOLS:
        return f"target {target.name}: {needed.name} is not set up here: {needed.advice}"
    return (
        f"target {target.name}: {needed.name} is not set up here ({MEANS[target.reach]}): {needed.advice}; for the "
        "device itself, give its address (--host)"
    )


def needed_tool(target: DeployTarget) -> Tool | None:
    """The tool without which ``target`` cannot be measured from here, set up or not; None where it needs none."""
    if by_vulkan(target):
        return tool("executorch-vulkan")
    return None if target.reach not in TOOLS or npu_here(target) else tool(TOOLS[target.reach])


def by_vulkan(target: DeployTarget) -> bool:
    """Whether this machine's own Vulkan driver runs a target's programs."""
    return target.reach == "local" and target.backend == "vulkan"


def check_target(target: DeployTarget) -> None:
    """Raise Unavailable, within seconds, when ``target`` cannot be measured from here."""
    if why := missing_tool(target):
        raise Unavailable(why)
    if target.reach == "local":
        check_arch(target)
        if target.runtime == "tensorrt" and find_spec("tensorrt") is None:
            raise Unavailable(
                f"target {target.name}: TensorRT is not installed here: install the package tensorrt beside compress, "
                "on a machine with an NVIDIA GPU"
            )
    if by_vulkan(target):
        from compress.targets.vulkan import device_of

        device_of(target)
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


def evidence_of(target: DeployTarget) -> Evidence:
    """What figures of ``target`` will stand on when it can be benched from here."""
    if target.backend == "ethos_u" and target.reach == "lowering":
        return "estimated"  # by Vela, when the file was written
    if by_vulkan(target):
        from compress.targets.vulkan import device_of

        return "emulated" if device_of(target).is_cpu else "measured"
    return "measured" if npu_here(target) else EVIDENCE[target.reach]


def runs(target: DeployTarget, artifact: Artifact) -> bool:
    """Whether a target's kernels run an artifact: its format and precision; TensorRT takes its own int8 file, and
    a Qualcomm NPU one more."""
    if artifact.layout == "staged" and not target.runs_staged:
        return False
    own = artifact.variant == "tensorrt"
    fits = own == (target.runtime == "tensorrt" and artifact.kernels == "int8")
    fits = fits and artifact.backend == target.backend and (artifact.variant != "htp" or target.provider == "qnn")
    if target.accelerator is not None:
        fits = fits and artifact.variant == variant_of(target.backend, target.accelerator)
    return artifact.format == target.format and artifact.kernels in target.precisions and fits


def unavailable(target: DeployTarget, artifacts: Iterable[Artifact], why: str) -> list[Performance]:
    """Entries that say that nothing was measured, and why."""
    return [untimed(target, artifact, "unavailable", why=why) for artifact in artifacts]


def bench_target(bench: Bench, macs: int | None = None) -> list[Performance]:
    """Measure every artifact, however the target is reached. Raises Unavailable, VerificationError, as the way does.

    ``macs``: the model's multiply-accumulates, for ``delegated``: what share of them ExecuTorch's backend runs, what is
    left outside and why, and whether the target's ``min_delegated`` is met.
    """
    if not bench.artifacts:
        return []
    entries = _way_to(bench.target)(bench)
    if bench.target.runtime == "executorch":
        paths = {artifact.id: artifact.graphs_at(path) for artifact, path in bench.artifacts.items()}
        for entry in entries:
            entry.delegated = _delegated(paths[entry.artifact], bench.target.min_delegated, macs)
            if entry.accepted and not entry.delegated.delegates:
                entry.accepted, entry.evidence = False, "unavailable"
                entry.why = f"target {bench.target.name}: {entry.artifact}: its compiler took nothing of the graph"
    return entries


def _compiled(bench: Bench) -> list[Performance]:
    """Entries of programs that their backend's compiler took when they were written; nothing is run."""
    from compress.artifacts.inspect.vela import vela_estimate

    entries = []
    for artifact, path in bench.artifacts.items():
        estimate = vela_estimate(path) if artifact.backend == "ethos_u" else None
        evidence: Evidence = "estimated" if estimate else "compiled"
        facts = {"estimate": estimate} if estimate else {}
        entries.append(bench.entry(artifact, evidence, accepted=True, why=artifact.not_run, **facts))
    return entries


def _delegated(programs: list[Path], least: float | None, macs: int | None) -> Delegation:
    from compress.artifacts.inspect.delegation import coverage

    delegation = coverage(*programs)
    share = delegation.share(macs)
    met = None if least is None or share is None else share >= least
    return Delegation(share=share, delegates=delegation.delegates, outside=delegation.outside, min=least, met=met)


def _way_to(target: DeployTarget) -> Callable[[Bench], list[Performance]]:
    if target.reach == "ssh":
        from compress.targets.ssh.bench import bench_over_ssh

        return bench_over_ssh
    if target.reach == "emulator":
        from compress.targets.emulator.bench import bench_emulated

        return bench_emulated
    if target.reach == "simulator":
        from compress.targets.hexagon.bench import bench_simulated

        return bench_simulated
    if target.reach == "vendor-compiler" and not npu_here(target):
        from compress.targets.npu.bench import bench_compiled

        return bench_compiled
    if target.reach == "parser":
        from compress.targets.tensorrt_parser.bench import bench_parsed

        return bench_parsed
    if target.reach == "lowering":
        return _compiled
    if target.reach == "browser":
        from compress.targets.browser.bench import bench_browser

        return bench_browser
    if by_vulkan(target):
        from compress.targets.vulkan import bench_vulkan

        return bench_vulkan
    return bench_local


def sample_pictures(
    read: "Callable[[str], np.ndarray]", samples: Sequence[Sample], noise_seed: int, *, seeded: bool = False
) -> Pictures:
    """The bundle's sample pictures: input, noise, truth where there is any, every artifact's output.

    The first also as it is simulated in 8 bits. ``seeded``: the artifacts take a seed instead of the noise.
    ``read``: path below the bundle -> (H, W, 3) uint8. Raises VerificationError where they do not belong together.
    """
    import numpy as np

    from compress.elir.noise import picture_noise, picture_seed

    def stacked(paths: Sequence[str]) -> "np.ndarray":
        pictures = [read(path) for path in paths]
        if any(picture.shape != pictures[0].shape for picture in pictures):
            raise VerificationError(f"samples: {', '.join(paths)} are of different sizes: do not use the bundle")
        return np.stack(pictures)

    if any(sample.outputs.keys() != samples[0].outputs.keys() for sample in samples):
        raise VerificationError("samples: not every one is of the same artifacts: do not use the bundle")
    lq = stacked([sample.degraded for sample in samples])
    noise = [picture_noise(lq.shape[1:3], noise_seed, sample.index) for sample in samples]
    outputs = {f"output-{name}": stacked([s.outputs[name] for s in samples]) for name in samples[0].outputs}
    # Bundles from before these were kept have none.
    outputs |= {f"simulated-{name}": stacked([path]) for name, path in samples[0].simulated.items()}
    images = [sample.image for sample in samples if sample.image]
    small = {"image": stacked(images)} if len(images) == len(samples) else {}
    clean = [sample.clean for sample in samples if sample.clean]
    truth = {"clean": stacked(clean)} if len(clean) == len(samples) else {}
    seeds = {"seed": np.stack([picture_seed(noise_seed, sample.index) for sample in samples])} if seeded else {}
    return {"lq": lq, "noise": np.concatenate(noise), **seeds, **small, **truth, **outputs}
