"""Documents generated from a schema: what a stranger writes, where `strategies.changed` spoils what we wrote.

Every value keeps to the JSON schema of a pydantic model, but for one in ``SPOILT`` or so, which is anything at all.
(hypothesis-jsonschema, which would do this, fails with today's hypothesis.)
"""

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from tests.reliability.hostile.strategies import VALUES, WORDS

SPOILT = 60  # values to one that does not keep to the schema
DEEPEST = 12  # beyond it optional parts are left out
LARGEST = 2**63

Schema = Mapping[str, Any]


def documents(model: type[BaseModel], known: Mapping[str, st.SearchStrategy[Any]] | None = None) -> Any:
    """Strategy of plain data for ``model``. ``known``: what to write in keys of these names, as often as not."""
    schema = model.model_json_schema()
    return _Grammar(schema.get("$defs", {}), known or {}).of(schema, 0)


class _Grammar:
    def __init__(self, definitions: Mapping[str, Schema], known: Mapping[str, st.SearchStrategy[Any]]) -> None:
        self.definitions, self.known = definitions, known

    def of(self, schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        return _spoilt(st.deferred(lambda: self._right(schema, depth)))

    def _right(self, schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        if reference := schema.get("$ref"):
            return self._right(self.definitions[reference.rpartition("/")[2]], depth)
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return st.one_of([self.of(one, depth) for one in schema[several]])
        match schema.get("type"):
            case "object":
                return self._object(schema, depth + 1)
            case "array":
                return self._array(schema, depth + 1)
            case "string":
                return _string(schema)
            case "integer":
                return _integer(schema)
            case "number":
                return _number(schema)
            case "boolean":
                return st.booleans()
            case "null":
                return st.none()
        return VALUES

    def _object(self, schema: Schema, depth: int) -> st.SearchStrategy[dict[str, Any]]:
        parts = {name: self._named(name, part, depth) for name, part in schema.get("properties", {}).items()}
        required = {name: part for name, part in parts.items() if name in schema.get("required", ())}
        optional = {name: part for name, part in parts.items() if name not in required and depth < DEEPEST}
        whole: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(required, optional=optional)
        if parts and "minProperties" in schema:  # a mapping of one key to its settings
            whole = st.sampled_from(sorted(parts)).flatmap(lambda name: st.fixed_dictionaries({name: parts[name]}))
        free = schema.get("additionalProperties")
        if isinstance(free, Mapping) and depth < DEEPEST:
            least = schema.get("minProperties", 0)
            other = st.dictionaries(WORDS, self.of(free, depth), min_size=least, max_size=least + 3)
            return st.builds(lambda a, b: {**b, **a}, whole, other)
        return whole

    def _named(self, name: str, schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        own = self.of(schema, depth)
        return st.one_of(self.known[name], own) if name in self.known else own

    def _array(self, schema: Schema, depth: int) -> st.SearchStrategy[Any]:
        if "prefixItems" in schema:
            return st.tuples(*(self.of(one, depth) for one in schema["prefixItems"])).map(list)
        least = schema.get("minItems", 0)
        most = min(schema.get("maxItems", least + 3), least + 3) if depth < DEEPEST else least
        return st.lists(self.of(schema.get("items", {}), depth), min_size=least, max_size=most)


def _spoilt(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(1, SPOILT).flatmap(lambda n: VALUES if n == SPOILT else right)


def _string(schema: Schema) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern")
    if pattern:
        try:
            return st.from_regex(re.compile(pattern), fullmatch=True)
        except re.error:  # a class of characters that Python's re does not know
            return WORDS
    least = schema.get("minLength", 0)
    return st.text(max_size=least + 20, min_size=least)


def _integer(schema: Schema) -> st.SearchStrategy[int]:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -LARGEST - 1) + 1)
    most = schema.get("maximum", schema.get("exclusiveMaximum", LARGEST + 1) - 1)
    step = int(schema.get("multipleOf", 1))
    near = min(most, max(least, 0) + 1000 * step)
    either = st.integers(-(-least // step), near // step) | st.integers(-(-least // step), most // step)
    return either.map(lambda n: n * step)


def _number(schema: Schema) -> st.SearchStrategy[float]:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    return st.floats(
        least,
        most,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
        allow_nan=False,
        allow_infinity=False,
    )
