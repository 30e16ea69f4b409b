"""Parts of a recipe beside its passes: what `compress search` may choose, and what is tried when a goal is missed."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from compress.recipe.numbers import Count, Positive, Real
from compress.recipe.strict import Strict


class Constraints(Strict):
    """Bounds of a search. A constraint that is none is not applied."""

    size_ratio: Positive | None = Field(
        None, description="Largest size, as a share of the fp32 artifact's bytes. It is predicted."
    )
    latency_ms: Positive | None = Field(
        None, description="Largest median latency on the recipe's target. It is predicted."
    )
    speedup: Positive | None = Field(None, description="Smallest speed-up against the fp32 artifact. It is predicted.")
    psnr_drop_db: Real | None = Field(None, description="Largest loss of PSNR in dB. It is measured.")
    lpips_rise: Real | None = Field(None, description="Largest rise of LPIPS. It is measured.")
    fidelity_db: Positive | None = Field(None, description="Lowest PSNR against the float model in dB. It is measured.")


class Search(Strict):
    """Settings of `compress search`, which chooses the bits of each layer's weights under constraints."""

    bits: list[Literal[4, 7, 8, 16]] = Field(
        [4, 8, 16], min_length=2, description="Bits to choose from for each layer; 16 leaves it in float."
    )
    constraints: Constraints = Constraints()
    trials: int = Field(24, gt=0, le=10_000, description="Number of combinations whose quality is measured.")
    minutes: Positive = Field(120, description="Time that one run may take; the next run continues where it stopped.")
    pictures: Count = Field(
        8, description="Number of pictures of the first validation set on which quality is measured."
    )

    @field_validator("bits")
    @classmethod
    def _differ(cls, value: list[int]) -> list[int]:
        if len(set(value)) < len(value):
            raise ValueError(f"must be different numbers, got {value}")
        return sorted(value)


Step = Literal["recalibrate", "reconstruct", "raise_bits", "float_stage"]


class Fallback(Strict):
    """What to try, in order, when a goal is missed. Each step builds on the steps that helped before."""

    steps: list[Step] = Field(
        description="Steps to try, in order: recalibrate chooses ranges by another method, reconstruct adds qat, "
        "raise_bits gives the worst layers 8 bits instead of 4 or float instead of 8, float_stage leaves "
        "the worst network in float. A step may be listed twice.",
    )
    minutes: Positive = Field(30, description="Time after which no further step begins.")

    @model_validator(mode="before")
    @classmethod
    def _bare_steps(cls, value: Any) -> Any:
        """``fallback: [recalibrate]`` takes the default budget."""
        return {"steps": value} if isinstance(value, list) else value
