"""A goal of the recipe, judged on one artifact."""

from pydantic import Field

from compress.results.section import Count, Figure, Id, Section, Text


class Goal(Section):
    """One bound and the figure that was held against it."""

    goal: Text
    artifact: Id | None = None
    dataset: Text | None = Field(None, description="data set or target that the figure is of")
    bound: Count | Figure | None = None
    value: Count | Figure | None = Field(None, description="null where nothing was measured")
    met: bool = False
    reason: Text | None = Field(None, description="why there is no value")
