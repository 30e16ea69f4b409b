"""What every section of results.json has in common: its numbers are finite and bounded, and unknown fields are kept."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from compress.recipe.names import Name

Figure = Annotated[float, Field(ge=-1e12, le=1e12)]
"""A measured number, finite: beyond these bounds it cannot be one."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A whole number that JSON readers of every language hold exactly."""
Text = Annotated[str, Field(max_length=4096)]
Id = Name
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """One mapping of results.json."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, strict=True)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Fields stay in the order in which they were given, and are written in it."""
        section = handler(given)
        if isinstance(given, dict):
            fields = section.__dict__
            section.__dict__ = {name: fields[name] for name in given if name in fields} | fields
        return section

    def to_json(self) -> dict[str, Any]:
        """What the file holds: every field that is set, in its order, then those that this version does not know."""
        return self.model_dump(mode="json", exclude_unset=True)


def first_mistake(error: ValidationError) -> str:
    """The first field with another type or out of range, as ``quality.0.psnr_db: ...``, on one line."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {' '.join(first['msg'].split())}"
