"""Plain data + where it came from -> a model of ``schema.py``, or one line a mistake: place, key path, rule, value."""

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from compress.errors import InputError
from compress.recipe.key_path import located
from compress.recipe.library import Document, did_you_mean, load_yaml, nearest, parse_value
from compress.recipe.names import GRAMMARS
from compress.recipe.yaml_nodes import KeyPath, dotted
from compress.refusals import shortened

M = TypeVar("M", bound=BaseModel)
Mistake = tuple[KeyPath, str]
Others = Callable[[list[str]], list[Mistake]]

_RULES = {
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "too_short": "must hold at least {min_length} item(s)",
    "too_long": "must hold at most {max_length} item(s)",
    "string_too_short": "must hold at least {min_length} character(s)",
    "string_too_long": "must hold at most {max_length} character(s)",
}
_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}

DEEPEST = 40
"""Parts of a key path; a YAML file may be as deep."""
MOST_TRIED = 20
"""Settings that are left out one by one, to find which of them a mistake comes from."""
DIGITS = 9
"""Most digits of an item's number in a list."""
_GIVEN = ("setting ", "settings ", "targets given")  # how a place begins that is in no file


class Source:
    """Data put together from files and settings; every key remembers its place (``recipes/x.yaml:12``)."""

    def __init__(self, document: Document) -> None:
        self.path = document.path
        self.data: dict[str, Any] = document.data
        self.settings: list[str] = []
        self.places: dict[KeyPath, str] = {at: f"{document.path}:{line}" for at, line in document.lines.items()}

    def place(self, at: KeyPath) -> str:
        """Place of a key, or of the nearest one above it."""
        while at and at not in self.places:
            at = at[:-1]
        return self.places.get(at, f"{self.path}:1")

    def on_top_of(self, base: "Source") -> None:
        """Deep merge: mappings are merged, everything else of ``base`` is replaced by what stands here."""
        places = dict(base.places)
        self.data = _merged(base.data, self.data, (), places)
        self.places = places | self.places

    def override(self, settings: Iterable[str]) -> None:
        """Apply settings ``a.b=c``; items of lists by their number, from 0. Raises InputError."""
        for setting in settings:
            self.settings.append(setting)
            key, equals, text = setting.partition("=")
            at = tuple(key.strip().split("."))
            if not equals or not all(at):
                raise InputError(f"setting {setting}: must look like key.path=value: for example model.image_size=128")
            if len(at) > DEEPEST:
                raise InputError(f"setting {key[:40]}...: a key path of {len(at)} parts, at most {DEEPEST}: shorten it")
            self.replace(at, parse_value(text, f"setting {setting}"), f"setting {setting}")

    def replace(self, at: tuple[str, ...], value: Any, place: str) -> None:
        """Put ``value`` at a key path, and remember that it came from ``place``."""
        holder: Any = self.data
        path: KeyPath = ()
        for name in at[:-1]:
            key = _key(holder, name, path, place)
            if isinstance(holder, dict) and holder.get(key) is None:
                holder[key] = {}
            holder, path = holder[key], (*path, key)
        key = _key(holder, at[-1], path, place)
        holder[key] = value
        path = (*path, key)
        self.places = {p: w for p, w in self.places.items() if p[: len(path)] != path} | {path: place}

    def refuse(self, mistakes: list[Mistake], others: Others | None = None) -> None:
        """Raise InputError with one line a mistake, when there are any.

        ``others``: the mistakes by other settings, by which one that settings brought about, in what a file says beside
        them, is told as theirs.
        """
        if mistakes:
            causes = self._causes(mistakes, others) if others and self.settings else {}
            placed = [(causes.get((at, text)) or self.place(at), at, text) for at, text in mistakes]
            placed.sort(key=lambda mistake: self._order(mistake[0]))
            lines = (f"{place}: {dotted(at) + ': ' if at else ''}{text}" for place, at, text in placed)
            raise InputError(*shortened(lines))

    def _order(self, place: str) -> tuple[bool, bool, str, int]:
        """Settings before files, this file before those that it extends, in each from top to bottom."""
        if place.startswith(_GIVEN):
            return False, False, place, 0
        file, _, line = place.rpartition(":")
        return True, file != str(self.path), file, int(line)

    def _causes(self, mistakes: list[Mistake], others: Others) -> dict[Mistake, str]:
        """The settings without which a mistake is not there, of each that stands in a file."""
        told = [mistake for mistake in mistakes if not self.place(mistake[0]).startswith(_GIVEN)]
        if not told:
            return {}

        def left(settings: list[str]) -> list[Mistake]:
            try:
                return others(settings)
            except InputError:
                return mistakes  # a setting that needs another says nothing of this one

        few = self.settings if len(self.settings) <= MOST_TRIED else []
        without = {s: left([*few[:i], *few[i + 1 :]]) for i, s in enumerate(few)}
        by_file = left([])
        causes = {}
        for mistake in told:
            own = [setting for setting, found in without.items() if mistake not in found]
            if not own and mistake not in by_file:
                own = self.settings
            if own:
                causes[mistake] = f"{'settings' if len(own) > 1 else 'setting'} {', '.join(own)}"
        return causes


def _merged(base: Any, top: Any, at: KeyPath, places: dict[KeyPath, str]) -> Any:
    if isinstance(base, dict) and isinstance(top, dict):
        inner = {k: _merged(base[k], v, (*at, k), places) if k in base else v for k, v in top.items()}
        return base | inner
    for path in [p for p in places if p[: len(at)] == at]:
        del places[path]
    return top


def _key(holder: Any, name: str, path: KeyPath, place: str) -> str | int:
    if isinstance(holder, dict):
        return name
    where = dotted(path)
    if not isinstance(holder, list):
        raise InputError(f"{place}: {where} is {holder!r}, not a mapping: nothing can be set inside it")
    if not name.isdecimal() or len(name) > DIGITS or int(name) >= len(holder):
        raise InputError(f"{place}: {where} is a list of {len(holder)}: give a number from 0 to {len(holder) - 1}")
    return int(name)


def load_model(
    schema: type[M], path: Path, overrides: Iterable[str] = (), prepare: "Callable[[Source], None] | None" = None
) -> M:
    """The model that a YAML file holds, changed by ``prepare``, settings ``a.b=c`` applied.

    Raises InputError: one line a mistake, with file, line, key path, rule and value.
    """
    document = load_yaml(path)

    def changed(settings: Iterable[str]) -> Source:
        source = Source(copy.deepcopy(document))
        if prepare is not None:
            prepare(source)
        source.override(settings)
        return source

    source = changed(overrides)
    model, mistakes = check(schema, source.data)
    source.refuse(mistakes, lambda settings: check(schema, changed(settings).data)[1])
    assert model is not None
    return model


def check(schema: type[M], data: Any, at: KeyPath = ()) -> tuple[M | None, list[Mistake]]:
    """The model of ``data``, or every mistake in it; ``at`` is where ``data`` stands in its file."""
    try:
        return schema.model_validate(data, strict=True), []
    except ValidationError as error:
        return None, _mistakes(schema, error, at)


def _mistakes(schema: type[BaseModel], error: ValidationError, at: KeyPath) -> list[Mistake]:
    by_path: dict[KeyPath, list[Any]] = {}
    for item in error.errors(include_url=False):
        path, model = located(schema, item["loc"])
        by_path.setdefault((*at, *path), []).append((item, model))
    return [(path, _message(items)) for path, items in by_path.items()]


def _message(items: list[Any]) -> str:
    """One sentence for the errors of one key: a union's branches each complain on their own."""
    kinds = dict.fromkeys(_TYPES[item["type"]] for item, _ in items if item["type"] in _TYPES)
    item, model = items[0]
    got = _short(item["input"])
    if kinds and all(i["type"] in _TYPES for i, _ in items):
        return f"must be {' or '.join(kinds)}, got {got}"
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        keys = [field.alias or name for name, field in model.model_fields.items()]
        return f"unknown {model.key_noun}{nearest(str(item['loc'][-1]), keys)}"
    if kind == "missing":
        return "is missing: add it"
    if kind in ("literal_error", "union_tag_invalid"):
        return _choice(item, context)
    if kind == "union_tag_not_found":
        return "is missing its key 'kind': add it"
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return f"{GRAMMARS.get(context['pattern'], item['msg'])}, got {got}"
    bounds = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    rule = _RULES[kind].format(**bounds) if kind in _RULES else item["msg"]
    return f"{rule}, got {got}{_nearest_multiples(item['input'], context.get('multiple_of'))}"


def _nearest_multiples(value: Any, unit: int | None) -> str:
    if unit is None:
        return ""
    below = value // unit * unit
    return f": the nearest are {below} and {below + unit}" if below > 0 else f": the nearest is {unit}"


def _choice(item: Any, context: Mapping[str, Any]) -> str:
    given = item["input"].get("kind") if isinstance(item["input"], dict) else item["input"]
    text = context.get("expected") or context.get("expected_tags", "")
    valid = [word.strip(" '") for word in text.replace(" or ", ", ").split(",")]
    return f"must be one of {', '.join(valid)}, got {_short(given)}{did_you_mean(str(given), valid)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
