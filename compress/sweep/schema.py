"""The schema of a sweep's YAML."""

import itertools
import math
import random
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from compress.recipe.names import Name
from compress.recipe.numbers import Count, Seed
from compress.recipe.strict import Strict

Values = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
"""Set path (as of --set) -> the values to try."""
Settings = dict[str, Any]
"""Set path -> value: what --set would be given."""
MEASURES = ("psnr_db", "fidelity_db", "psnr_drop_db", "lpips_rise", "bytes", "size_ratio", "latency_p50_ms")
Measure = Literal["psnr_db", "fidelity_db", "psnr_drop_db", "lpips_rise", "bytes", "size_ratio", "latency_p50_ms"]
MOST_POINTS, MOST_COMBINATIONS = 10_000, 10**15
"""Limits of one search: its points are years of work, and more combinations could not even be counted in a minute."""
HIGHER: frozenset[str] = frozenset({"psnr_db", "fidelity_db"})


def combinations(values: Values) -> int:
    """How many there are."""
    return math.prod(map(len, values.values()))


class Grid(Strict):
    """Every combination of the values."""

    kind: Literal["grid"] = "grid"
    values: Values

    @model_validator(mode="after")
    def _can_be_listed(self) -> "Grid":
        if (count := combinations(self.values)) > MOST_POINTS:
            raise ValueError(f"values give {count} points, at most {MOST_POINTS}: draw some with kind random")
        return self

    def points(self) -> Iterator[Settings]:
        """Settings of each point, in order."""
        for chosen in itertools.product(*self.values.values()):
            yield dict(zip(self.values, chosen, strict=True))


class PointList(Strict):
    """Points that are listed one by one."""

    kind: Literal["list"] = "list"
    points_: list[Settings] = Field(
        alias="points", min_length=1, description="Settings of each point: a mapping of key paths to values."
    )

    def points(self) -> Iterator[Settings]:
        """Settings of each point, in order."""
        yield from self.points_


class Random(Strict):
    """Distinct combinations that are drawn at random."""

    kind: Literal["random"] = "random"
    values: Values
    count: int = Field(gt=0, le=MOST_POINTS, description="Number of points to draw; all of them if there are fewer.")
    seed: Seed = 0

    @model_validator(mode="after")
    def _can_be_numbered(self) -> "Random":
        if (count := combinations(self.values)) > MOST_COMBINATIONS:
            raise ValueError(f"values give {count} combinations, at most {MOST_COMBINATIONS}: leave some out")
        return self

    def points(self) -> Iterator[Settings]:
        """Settings of each point, in the order drawn."""
        total = combinations(self.values)
        # By number, in the grid's order: nobody lists a billion of them.
        for number in random.Random(self.seed).sample(range(total), min(self.count, total)):
            chosen: Settings = {}
            for path, values in reversed(self.values.items()):
                number, place = divmod(number, len(values))
                chosen[path] = values[place]
            yield {path: chosen[path] for path in self.values}


Number = Annotated[float, Field(ge=-(2**53), le=2**53)]
"""Optuna counts whole ones in 64 bits, and draws from the distance of two."""


class Interval(Strict):
    """A range of numbers to search."""

    low: Number
    high: Number
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _grows(self) -> "Interval":
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(f"low must be below high, and above 0 with log, got {self.low:g} and {self.high:g}")
        if self.integer and self.log and self.low < 1:
            raise ValueError(f"low must be 1 or more with integer and log, got {self.low:g}")
        return self


Choices = Annotated[
    Annotated[list[Any], Tag("choices")] | Annotated[Interval, Tag("between")],
    Discriminator(lambda value: "between" if isinstance(value, dict | Interval) else "choices"),
]


def _ends(given: Interval) -> tuple[float, float]:
    return (int(given.low), int(given.high)) if given.integer else (given.low, given.high)


class Optuna(Strict):
    """Points that Optuna's TPE sampler proposes from the results of earlier points (extra elir-compress[optuna])."""

    kind: Literal["optuna"] = "optuna"
    values: dict[str, Choices] = Field(
        min_length=1, description="Key paths to search, each with its choices or with low and high."
    )
    goals: list[Measure] = Field(
        min_length=1, description="Measures to improve; the worst of a point's int8 artifacts counts."
    )
    trials: int = Field(gt=0, le=MOST_POINTS)
    at_once: Count = Field(2, description="Number of points that are proposed at once, before their results are known.")
    seed: Seed = 0

    @model_validator(mode="after")
    def _has_choices(self) -> "Optuna":
        for path, choices in self.values.items():
            if choices == []:
                raise ValueError(f"values.{path} holds nothing to try: give choices, or low and high")
        return self

    def points(self) -> Iterator[Settings]:
        """Settings of points that together hold every choice, and both ends of every interval."""
        tried = {path: [*_ends(given)] if isinstance(given, Interval) else given for path, given in self.values.items()}
        first = {path: values[0] for path, values in tried.items()}
        yield first
        yield from (first | {path: value} for path, values in tried.items() for value in values[1:])


class Sweep(Strict):
    """A sweep, which `compress sweep` runs: recipes x points x targets."""

    version: Literal[1]
    name: Name
    description: str = ""
    recipes: list[str] = Field(min_length=1, description="Recipes to run: built-in names or paths.")
    set_: Settings = Field(
        default={}, alias="set", description="Settings for all points: a mapping of key paths to values."
    )
    search: Annotated[Grid | PointList | Random | Optuna, Field(discriminator="kind")] | None = Field(
        None, description="How points are chosen; by default each recipe runs as it is."
    )
    targets: list[str] | None = Field(
        None, description="Targets to measure on instead of the recipes' own; [] measures no speed."
    )
    store: str | None = Field(
        None,
        min_length=1,
        description="Folder or URL where artifacts are kept; by default the folder store below --out.",
    )
    cpus: Count | None = Field(
        None,
        description="Number of cores for a unit that compresses; by default all physical cores of its machine.",
    )
    reuse: bool = Field(False, description="Use the recipes' finished students instead of training them.")
