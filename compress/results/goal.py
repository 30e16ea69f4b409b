"""A goal of the recipe, judged on one artifact."""

from pydantic import Field

from compress.results.section import Count, Figure, Id, Section, Text


class Goal(Section):
    """One bound, and the figure that was compared with it."""

    goal: Text
    artifact: Id | None = None
    dataset: Text | None = Field(None, description="Data set or target that the figure belongs to.")
    bound: Count | Figure | None = None
    cpu_feature: Text | None = Field(
        None,
        description="Feature of the measured CPU that the bound was chosen for, such as avx2; null if the bound does "
        "not depend on the CPU.",
    )
    value: Count | Figure | None = Field(None, description="The figure; null if nothing was measured.")
    met: bool = False
    reason: Text | None = Field(None, description="Why there is no value.")
