"""What every model of a YAML file shares."""

import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator


class Strict(BaseModel):
    """Base of every schema: unknown keys are errors, numbers are finite, values are frozen, null is as good as left out
    where it is no value of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    key_noun: ClassVar[str] = "key"
    """What messages call a key of it."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        """``goals: null`` removes what a file that is extended has there; so it does with a key of a mapping."""
        if not isinstance(given, dict):
            return given
        left_out, mappings = _nulls(cls)
        kept = {key: value for key, value in given.items() if value is not None or key not in left_out}
        return {
            key: {k: v for k, v in value.items() if v is not None}
            if key in mappings and isinstance(value, dict)
            else value
            for key, value in kept.items()
        }


@cache
def _nulls(model: type[BaseModel]) -> tuple[frozenset[str], frozenset[str]]:
    """Keys with a default that take no null, and those of mappings whose values do not."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    left_out = {key for key, field in fields.items() if not field.is_required() and not _takes_none(field.annotation)}
    values = {key: [*_values(field.annotation)] for key, field in fields.items()}
    mappings = {key for key, hints in values.items() if hints and not any(map(_takes_none, hints))}
    return frozenset(left_out), frozenset(mappings)


def _takes_none(hint: Any) -> bool:
    if typing.get_origin(hint) is Literal:
        return None in typing.get_args(hint)
    return hint in (Any, None, types.NoneType) or any(map(_takes_none, _inside(hint)))


def _values(hint: Any) -> Iterator[Any]:
    """Types of the values of the mappings that ``hint`` is, or may be."""
    if typing.get_origin(hint) is dict:
        yield typing.get_args(hint)[1]
    for part in _inside(hint):
        yield from _values(part)


def _inside(hint: Any) -> tuple[Any, ...]:
    """The branches of a union; what is annotated."""
    if typing.get_origin(hint) is Annotated:
        return typing.get_args(hint)[:1]
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()
