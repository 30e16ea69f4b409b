"""A step of the recipe's fallback, tried since a goal was missed."""

from pydantic import Field

from compress.results.section import Figure, Section, Text


class FallbackStep(Section):
    """What it changed and what came of it, or why it was not tried."""

    step: Text
    skipped: Text | None = Field(None, description="why it was not tried; the other fields are null then")
    changed: Text | None = None
    missed_before: list[Text] = Field(default=[], description="goals missed before it, in words")
    missed_after: list[Text] = Field(default=[], description="goals missed after it")
    kept: bool | None = Field(None, description="whether what follows stands on it")
    seconds: Figure | None = None
