"""What a finished unit leaves in the store."""

from pydantic import Field

from compress.results.artifact import ArtifactEntry
from compress.results.goal import Goal
from compress.results.measurement import Measurement
from compress.results.performance import Performance
from compress.results.quality import Quality
from compress.results.section import Section, Text

STORE = "store"
"""A sweep's own store: this folder in its folder."""


class PlannedUnit(Section):
    """A unit of ``plan.json``."""

    key: Text


class PlanFile(Section):
    """``plan.json`` of a sweep's folder, for ``compress sweep status``."""

    name: Text
    store: Text
    units: list[PlannedUnit]


class RunningUnit(Section):
    """A unit at work, and where."""

    label: str
    host: str


class FailedUnit(Section):
    """A unit that failed, and why."""

    label: str
    message: str


class UnitRecord(Section):
    """A prefix has ``kept``, hashes of tensors by their names; a build its artifacts and their quality; a bench their
    performance. ``rows``: of the ledger, which whoever runs the sweep appends.
    """

    kept: dict[str, str] = Field(default={})
    rows: list[Measurement] = Field(default=[])
    bundle: Text | None = None
    artifacts: list[ArtifactEntry] = Field(default=[])
    quality: list[Quality] = Field(default=[])
    performance: list[Performance] = Field(default=[])
    goals: list[Goal] = Field(default=[])
