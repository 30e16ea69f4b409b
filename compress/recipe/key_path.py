"""pydantic's locations -> key paths, as a reader of the file names them."""

import types
import typing
from typing import Annotated, Any

from pydantic import BaseModel, Tag

from compress.recipe.yaml_nodes import KeyPath


def located(schema: Any, loc: tuple[str | int, ...]) -> tuple[KeyPath, type[BaseModel] | None]:
    """Key path of a pydantic location, without the names of union branches; and the model that its last key is of."""
    path: list[str | int] = []
    model: type[BaseModel] | None = None
    for part in loc:
        options = _options(schema)
        model = None
        if len(options) > 1:
            schema = next((o for o in options if _is_branch(o, part)), Any)
            continue
        if part == "[key]":
            continue
        schema = _plain(options[0])
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            model = schema
            info = schema.model_fields.get(str(part))
            schema = Annotated[info.annotation, *info.metadata, info] if info else Any
        else:
            schema = typing.get_args(schema)[-1] if typing.get_args(schema) else Any
        path.append(part)
    return tuple(path), model


def _options(schema: Any) -> list[Any]:
    """A union's branches (None left out), or the type alone."""
    plain = _plain(schema)
    if typing.get_origin(plain) in (typing.Union, types.UnionType):
        return [o for arg in typing.get_args(plain) if arg is not type(None) for o in _options_tagged(arg)]
    return [schema]


def _options_tagged(schema: Any) -> list[Any]:
    return [schema] if _tag(schema) else _options(schema)


def _plain(schema: Any) -> Any:
    return typing.get_args(schema)[0] if typing.get_origin(schema) is Annotated else schema


def _tag(schema: Any) -> str | None:
    metadata = typing.get_args(schema)[1:] if typing.get_origin(schema) is Annotated else ()
    return next((m.tag for m in metadata if isinstance(m, Tag)), None)


def _is_branch(option: Any, part: str | int) -> bool:
    if _tag(option):
        return _tag(option) == part
    plain = _plain(option)
    if isinstance(plain, type) and issubclass(plain, BaseModel) and "kind" in plain.model_fields:
        return plain.model_fields["kind"].default == part
    return getattr(plain, "__name__", "") == part or str(part).startswith(str(typing.get_origin(plain) or plain))
