"""A step of the recipe's fallback, tried since a goal was missed."""

from pydantic import Field

from compress.results.section import Figure, Section, Text


class FallbackStep(Section):
    """One step of the fallback: what it changed and what came of it, or why it was not tried."""

    step: Text
    skipped: Text | None = Field(None, description="Why the step was not tried; the other fields are then null.")
    changed: Text | None = None
    missed_before: list[Text] = Field(default=[], description="Goals that were missed before the step, in words.")
    missed_after: list[Text] = Field(default=[], description="Goals that were missed after the step.")
    kept: bool | None = Field(None, description="Whether the step was kept.")
    seconds: Figure | None = None
