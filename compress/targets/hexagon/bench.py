"""Artifacts on a simulated Hexagon NPU -> ``performance`` entries of evidence emulated: outputs, never time."""

from compress.artifacts.artifact import Artifact
from compress.artifacts.inspect.htp_rules import lint
from compress.results.machine import Machine
from compress.results.performance import Performance
from compress.targets.emulated_outputs import References, given
from compress.targets.entries import Bench
from compress.targets.hexagon.simulation import Simulation, simulate
from compress.targets.tools.hexagon_simulator import HexagonSimulator


def bench_simulated(bench: Bench) -> list[Performance]:
    """Compile every artifact for the target's NPU by Qualcomm's own compiler, and run it in Qualcomm's simulator.

    ``accepted``; ``lint``, of a quantized artifact: its operators in float; ``accuracy``, as of an emulated core;
    ``runtime``: how many nodes of the model the NPU runs, how many it leaves to the CPU and of which types. A refused
    artifact has ``why`` and evidence unavailable. Raises Unavailable when the simulator is not set up,
    VerificationError when an artifact fails in it.
    """
    target = bench.target
    assert target.simulator is not None
    tool = HexagonSimulator()
    tool.require()
    ran = bench.each(
        "simulate", lambda artifact, path, _: simulate(target, path, given(bench, artifact), tool, bench.seed)
    )
    here = References(bench)
    return [_entry(bench, artifact, simulation, here) for artifact, simulation in ran.items()]


def _entry(bench: Bench, artifact: Artifact, simulation: Simulation, here: References) -> Performance:
    target = bench.target
    breaches = None if artifact.is_float else lint(bench.artifacts[artifact])
    assert target.simulator is not None
    machine = Machine(cpu=f"Hexagon NPU of {target.simulator.soc}, simulated by Qualcomm's simulator")
    if simulation.outputs is None:
        why = "; ".join([simulation.error, *(breaches or [])])  # what the compiler says does not say what to do
        return bench.refused(artifact, "compiler", why, lint=breaches, machine=machine)
    return bench.entry(
        artifact,
        "emulated",
        accepted=True,
        lint=breaches,
        machine=machine,
        protocol=bench.mode,
        runtime=simulation.facts,
        accuracy=here.accuracy(artifact, simulation.outputs),
    )
