"""results.json as a whole."""

from typing import Any, Literal

from pydantic import Field

from compress.results.artifact import ArtifactEntry, WeightShare
from compress.results.goal import Goal
from compress.results.parity import LayerError, Parity, StageError
from compress.results.performance import Performance
from compress.results.quality import Baseline, Quality
from compress.results.sample import Sample
from compress.results.section import Figure, Section, Text


class StageSeconds(Section):
    """Time that one stage of the run took; one that was finished before is not listed."""

    stage: Text
    seconds: Figure


class Results(Section):
    """Everything that a run of a recipe measured. A section that is null or missing was not recorded."""

    schema_version: Literal[1]
    name: Text = Field("", description="the recipe's name")
    task: Text = ""
    created: Text = Field("", description="ISO time with its zone")
    run: Text | None = Field(None, description="names the run in the ledger")
    versions: dict[str, Text] = Field(default={}, description="of Python and of every package that has a hand in it")
    machine: dict[str, Any] = Field(default={}, description="facts of the machine that wrote the bundle")
    notes: list[Text] | None = Field(default=[], description="what the passes have to say")
    artifacts: list[ArtifactEntry] | None = Field(default=[])
    quality: list[Quality] | None = Field(default=[])
    baselines: list[Baseline] | None = Field(default=[])
    performance: list[Performance] | None = Field(default=[])
    parity: list[Parity] | None = Field(default=[])
    stages: list[StageError] | None = Field(default=[])
    layers: list[LayerError] | None = Field(default=[])
    shares: list[WeightShare] | None = Field(default=[])
    samples: list[Sample] | None = Field(default=[])
    seconds: Figure | None = Field(None, description="that the run took")
    seconds_by_stage: list[StageSeconds] | None = Field(default=[], description="where they went, in order")
    goals: list[Goal] | None = Field(default=[])
    goals_met: bool = False
    fallback: list[dict[str, Any]] | None = Field(None, description="steps that were tried when a goal was missed")
