"""Parts of a recipe beside its passes: what `compress search` may choose, and what is tried when a goal is missed."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from compress.recipe.strict import Strict


class Constraints(Strict):
    """Bounds of a search. None: not asked for."""

    size_ratio: float | None = Field(None, gt=0, description="at most, of the fp32 artifact's bytes; predicted")
    latency_ms: float | None = Field(None, gt=0, description="at most, median on the recipe's target; predicted")
    speedup: float | None = Field(None, gt=0, description="at least, against the fp32 artifact; predicted")
    psnr_drop_db: float | None = Field(None, description="at most, dB; measured")
    lpips_rise: float | None = Field(None, description="at most; measured")
    fidelity_db: float | None = Field(None, gt=0, description="at least, PSNR against the float model, dB; measured")


class Search(Strict):
    """`compress search`: bits of each layer's weights, under constraints."""

    bits: list[Literal[4, 7, 8, 16]] = Field([4, 8, 16], min_length=2, description="to choose from; 16: left in float")
    constraints: Constraints = Constraints()
    trials: int = Field(24, gt=0, le=10_000, description="combinations whose quality is measured")
    minutes: float = Field(120, gt=0, description="that one run may take; the next goes on where it stopped")
    pictures: int = Field(8, gt=0, description="of the first validation set, that quality is measured on")

    @field_validator("bits")
    @classmethod
    def _differ(cls, value: list[int]) -> list[int]:
        if len(set(value)) < len(value):
            raise ValueError(f"must be different numbers, got {value}")
        return sorted(value)


Step = Literal["recalibrate", "reconstruct", "raise_bits", "float_stage"]


class Fallback(Strict):
    """What to try, in order, when a goal is missed; each on top of what helped before."""

    steps: list[Step] = Field(
        description="recalibrate: another range method; reconstruct: add qat; raise_bits: of the worst layers, "
        "4 to 8, 8 to float; float_stage: leave the worst stage in float; one may stand there twice",
    )
    minutes: float = Field(30, gt=0, description="no further step is begun after so long")

    @model_validator(mode="before")
    @classmethod
    def _bare_steps(cls, value: Any) -> Any:
        """``fallback: [recalibrate]`` takes the default budget."""
        return {"steps": value} if isinstance(value, list) else value
