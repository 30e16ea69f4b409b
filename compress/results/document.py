"""results.json as a whole."""

from typing import Any, Literal

from pydantic import Field, field_validator

from compress.results.artifact import ArtifactEntry, WeightShare
from compress.results.fallback import FallbackStep
from compress.results.goal import Goal
from compress.results.machine import Machine
from compress.results.parity import LayerError, Parity, StageError
from compress.results.performance import Performance
from compress.results.quality import Baseline, Quality
from compress.results.sample import Sample
from compress.results.section import Figure, Section, Text


class StageSeconds(Section):
    """Time that one stage of the run took. Stages that were already finished are not listed."""

    stage: Text
    seconds: Figure


_SECTIONS = (
    *("notes", "artifacts", "quality", "baselines", "performance", "parity", "stages", "layers", "shares", "samples"),
    *("seconds_by_stage", "goals"),
)


class Results(Section):
    """Everything that a run of a recipe measured. A section that is null or missing was not recorded; it reads as
    empty.
    """

    schema_version: Literal[1]
    name: Text = Field("", description="Name of the recipe.")
    task: Text = ""
    created: Text = Field("", description="Time of the run in ISO format, with its time zone.")
    run: Text | None = Field(None, description="Name of the run in the ledger.")
    versions: dict[str, Text] = Field(
        default={}, description="Versions of Python and of every package that took part in the run."
    )
    machine: Machine = Field(default=Machine(), description="Facts about the machine that wrote the bundle.")
    notes: list[Text] = Field(default=[], description="Remarks that the passes made.")
    artifacts: list[ArtifactEntry] = Field(default=[], max_length=1000)
    quality: list[Quality] = Field(default=[])
    baselines: list[Baseline] = Field(default=[])
    performance: list[Performance] = Field(default=[])
    parity: list[Parity] = Field(default=[])
    stages: list[StageError] = Field(default=[])
    layers: list[LayerError] = Field(default=[])
    shares: list[WeightShare] = Field(default=[])
    samples: list[Sample] = Field(default=[])
    seconds: Figure | None = Field(None, description="Time that the run took.")
    seconds_by_stage: list[StageSeconds] = Field(default=[], description="Time of each stage, in order.")
    goals: list[Goal] = Field(default=[])
    goals_met: bool = False
    fallback: list[FallbackStep] | None = Field(None, description="Steps that were tried because a goal was missed.")

    @field_validator(*_SECTIONS, mode="before")
    @classmethod
    def _empty(cls, section: Any) -> Any:
        return [] if section is None else section

    @field_validator("artifacts")
    @classmethod
    def _listed_once(cls, artifacts: list[ArtifactEntry]) -> list[ArtifactEntry]:
        """Whatever is said of an artifact would count as often as it is listed."""
        if len({artifact.id for artifact in artifacts}) < len(artifacts):
            raise ValueError("an artifact is listed twice")
        return artifacts

    def __repr__(self) -> str:
        return f"<Results {self.name}: {self.summary}>"

    __str__ = __repr__

    @property
    def summary(self) -> str:
        """One line: how many artifacts there are, and how many goals they meet."""
        met = sum(goal.met for goal in self.goals)
        goals = f"{met} of {len(self.goals)} goals met" if self.goals else "no goals"
        return f"{self.task}, {len(self.artifacts)} artifacts, {goals}"

    @property
    def first_shape(self) -> "Results":
        """Without artifacts of further shapes and what was measured of them; itself, where there are none."""
        others = {artifact.id for artifact in self.artifacts if artifact.shape is not None}
        if not others:
            return self
        own: dict[str, Any] = {
            name: [entry for entry in getattr(self, name) if entry.artifact not in others]
            for name in ("quality", "performance", "parity")
        }
        own["artifacts"] = [artifact for artifact in self.artifacts if artifact.id not in others]
        own["samples"] = [sample for sample in self.samples if not others & sample.outputs.keys()]
        return self.model_copy(update=own)

    @property
    def unavailable(self) -> list[str]:
        """One line for each target that could not be reached, or what it refused."""
        absent = (entry for entry in self.performance if entry.evidence == "unavailable")
        return list(dict.fromkeys(entry.why or f"{entry.target}: not available" for entry in absent))
