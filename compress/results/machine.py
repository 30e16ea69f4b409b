"""Facts about the machine that a figure was measured on. What its system does not tell is null."""

from collections.abc import Iterable

from pydantic import Field

from compress.results.section import Count, Figure, Section, Text

BUSY_CORES = 0.2
"""Cores that other processes may take before a measurement is marked: more changes a median visibly."""
NAMED = 3


def busy_notes(others: Iterable[str]) -> list[str]:
    """The line below a table whose figures marked with * were measured while ``others`` worked; none where none did."""
    told = " or ".join(dict.fromkeys(filter(None, others)))
    return [f"* measured while other processes took {told}: measure again on an idle machine"] if told else []


class BusyProcess(Section):
    """Another process that worked during the measurement."""

    name: Text
    cores: Figure


class Machine(Section):
    """A machine, or a tool that stands in for one."""

    cpu: Text | None = None
    model: Text | None = Field(None, description="Name that the board reports for itself.")
    cores: Count | None = Field(None, description="Physical cores that the process may use.")
    logical_cores: Count | None = None
    features: list[Text] = Field(default=[], description="Instruction sets that decide which kernels run.")
    memory_gb: Figure | None = None
    load_average: Figure | None = Field(None, description="Load average over the minute before the measurement.")
    governor: Text | None = None
    os: Text | None = None
    python: Text | None = None
    busy: list[BusyProcess] = Field(
        default=[], description="Other processes that worked during the measurement, the busiest first."
    )

    @property
    def others(self) -> str:
        """What other processes took, as ``1.3 cores (python3, chrome)``; "" if it was less than BUSY_CORES."""
        cores = sum(process.cores for process in self.busy)
        names = ", ".join(dict.fromkeys(process.name for process in self.busy[:NAMED]))
        return f"{cores:.1f} cores ({names})" if cores >= BUSY_CORES else ""


class Series(Section):
    """One quantity, sampled while the timed runs ran."""

    min: Figure
    median: Figure
    max: Figure
    n: Count = Field(description="Number of samples.")
    source: Text


class Readings(Section):
    """Clock, temperature, power and settings of a device while it was measured."""

    clock_mhz: Series | None = None
    temperature_c: Series | None = None
    power_w: Series | None = None
    settings: dict[Text, Text | None] = Field(
        default={}, description="Settings that the target's measuring.record names."
    )
