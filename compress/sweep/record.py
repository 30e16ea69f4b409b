"""What a finished unit leaves in the store."""

from pydantic import Field

from compress.results.artifact import ArtifactEntry
from compress.results.goal import Goal
from compress.results.measurement import Measurement
from compress.results.performance import Performance
from compress.results.quality import Quality
from compress.results.section import Section, Text


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
