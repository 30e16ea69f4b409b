"""ExecuTorch's Vulkan programs on this machine's Vulkan device -> ``performance`` entries.

A GPU is measured. A driver that computes on the CPU, as Mesa's lavapipe does, gives a GPU's outputs and not its time.
"""

from dataclasses import replace

from compress.errors import Unavailable
from compress.measure.busy import OtherWork
from compress.measure.machine import machine_facts, physical_cores
from compress.recipe.deploy_target import DeployTarget
from compress.results.performance import Performance
from compress.targets.emulated_outputs import PICTURES
from compress.targets.entries import Bench
from compress.targets.job import JobArtifact, job_for
from compress.targets.local import check_arch, run_here, timed_runs
from compress.targets.tools.executorch_vulkan import ExecutorchVulkan, VulkanDevice


def device_of(target: DeployTarget) -> VulkanDevice:
    """The device that ``target``'s programs run on. Raises Unavailable where there is none, or no runtime."""
    tool = ExecutorchVulkan()
    tool.require()
    try:
        return tool.device()
    except Unavailable as error:
        raise Unavailable(f"target {target.name}: {error}") from None


def bench_vulkan(bench: Bench) -> list[Performance]:
    """Run every artifact of ``bench`` on the device that ExecuTorch's Vulkan runtime chooses, and compare its pictures.

    On a GPU all are timed, too, as ``bench_local`` times. Raises what ``device_of`` and ``bench_local`` raise.
    """
    check_arch(bench.target)
    device = device_of(bench.target)
    if device.is_cpu:  # seconds to minutes a picture
        few = {key: values[: PICTURES[bench.mode]] for key, values in bench.pictures.items()}
        bench = replace(bench, pictures=few)
    entries = {
        artifact.id: JobArtifact(entry=str(path.absolute()), precision=artifact.precision)
        for artifact, path in bench.artifacts.items()
    }
    here = {"threads": physical_cores(), "outputs": True, "backend_library": str(ExecutorchVulkan().library)}
    job = job_for(bench, entries).model_copy(update=here)
    machine, others = machine_facts(), OtherWork()
    answers = run_here(job, bench, timed=not device.is_cpu)
    machine = machine.model_copy(update={"busy": others.processes()})
    for answer in answers.values():
        answer["facts"] |= {"vulkan_device": device.name, "vulkan_driver": device.driver}
    if not device.is_cpu:
        return bench.ran(timed_runs(answers), threads=job.threads, machine=machine)
    return [
        bench.entry(
            artifact,
            "emulated",
            runtime=answers[artifact.id]["facts"],
            accuracy=answers[artifact.id]["accuracy"],
            machine=machine,
            protocol=bench.mode,
        )
        for artifact in bench.artifacts
    ]
