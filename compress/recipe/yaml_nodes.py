"""YAML text -> plain data and line numbers, by PyYAML's nodes: whatever could surprise is refused with its line."""

import re
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 40
MAX_NODES = 20_000  # each key, item and value; PyYAML takes seconds for as many
MAX_BITS = 64
_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + name for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}


class Refusal(Exception):
    """Valid YAML that a recipe may not hold."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    depth = nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        line = event.start_mark.line + 1
        # Nested aliases expand to gigabytes from a few lines.
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Refusal(line, "anchors and aliases are not allowed: write the value out")
        if self.depth >= MAX_DEPTH:
            raise Refusal(line, f"nested deeper than {MAX_DEPTH} levels: flatten it")
        if self.nodes >= MAX_NODES:
            raise Refusal(line, f"more than {MAX_NODES} keys and values: shorten it")
        self.depth += 1
        self.nodes += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


# PyYAML reads YAML 1.1, in which 010 is 8, 1:4 is 64, `no` is false and 2e-4 is text. These are the rules of YAML 1.2
# (its core schema); what they and others read as different numbers is refused.
_SIGNED = "-+.0123456789"
_RULES: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _SIGNED),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        _SIGNED,
    ),
)
_MATCH = {name: re.compile(rf"(?:{pattern})\Z") for name, pattern, _ in _RULES}
# 010, 1_000, 0.1_0, 0b11, -0x10
_DOUBTFUL = re.compile(
    r"[-+]?(?:0[0-9_]+|0[bB][01_]+|[-+]0[xXoO][0-9a-fA-F_]+)\Z|[-+]0[xo]\w+\Z"
    r"|(?=.*_)(?=.*[0-9])[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9_]+)?\Z"
)

_Loader.yaml_implicit_resolvers = {}
for _name, _, _first in _RULES:
    _Loader.add_implicit_resolver(
        _TAG + _name, _MATCH[_name], ["", *_first.replace("\0", "")] if _name == "null" else list(_first)
    )
_Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"<<\Z"), ["<"])


def parse(text: str, lines: dict[KeyPath, int]) -> Any:
    """Plain data of one YAML document; ``lines`` receives the line of every key and item.

    Raises Refused and yaml.YAMLError.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _value(loader, node, (), lines)
    finally:
        loader.dispose()


def _value(loader: _Loader, node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int]) -> Any:
    if node.tag not in _PLAIN:
        raise Refusal(node.start_mark.line + 1, f"tag {node.tag.replace(_TAG, '!!')} is not allowed: write plain data")
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, at, lines)
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*at, i)] = item.start_mark.line + 1
        return [_value(loader, item, (*at, i), lines) for i, item in enumerate(node.value)]
    value = _scalar(node)
    # Written 0xfff..., an integer can have more digits than Python prints in a message.
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise Refusal(
            node.start_mark.line + 1, f"an integer of {value.bit_length()} bits, more than {MAX_BITS}: shorten it"
        )
    return value


def _scalar(node: yaml.Node) -> Any:
    """The value of a scalar by its tag, which the rules above or the file's author gave it."""
    text, kind = str(node.value), node.tag.removeprefix(_TAG)
    line = node.start_mark.line + 1
    if getattr(node, "style", None) is None and _DOUBTFUL.match(text):
        raise Refusal(
            line,
            f"{text} is a different number in other versions of YAML: write it in plain digits, or quote it as text",
        )
    # A version or a name that looks like a date is text to us.
    if kind in ("str", "timestamp"):
        return text
    if not _MATCH[kind].match(text):
        raise Refusal(line, f"{text!r} cannot be read as {kind}: correct it, or leave the tag out")
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _mapping(loader: _Loader, node: yaml.MappingNode, at: KeyPath, lines: dict[KeyPath, int]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag == _TAG + "merge":
            raise Refusal(line, "merge keys (<<) are not allowed: write the values out")
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) and key_node.tag in _PLAIN else None
        if not isinstance(key, str):
            raise Refusal(line, f"keys must be text, got {key_node.value!r}: quote it")
        path = (*at, key)
        if path in lines:
            raise Refusal(line, f"{dotted(path)}: duplicate key, first on line {lines[path]}: remove one")
        lines[path] = line
        data[key] = _value(loader, value_node, path, lines)
    return data


def dotted(path: KeyPath) -> str:
    """``passes.2.ptq.engine``."""
    return ".".join(map(str, path))
