"""What every model of a YAML file shares."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of every schema: unknown keys are errors, numbers are finite, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    key_noun: ClassVar[str] = "key"
    """What messages call a key of it."""
