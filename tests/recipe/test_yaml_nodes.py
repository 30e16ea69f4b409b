"""Plain scalars mean what YAML 1.2 says, or are refused where another YAML would read another number."""

import io
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from yaml import YAMLError as PlainError

from compress.recipe.yaml_nodes import MAX_NODES, Refusal, parse

WORDS = [
    *("yes", "no", "on", "off", "y", "n", "true", "True", "TRUE", "false", "null", "Null", "~", "tRue"),
    *("010", "08", "1:4", "1:30:00", "0o17", "0x1F", "0b11", "1_000", "+12", "-0", "00", "-0x10", "+0o7"),
    *(
        "2e-4",
        "1e5",
        ".5",
        "5.",
        "-.inf",
        "+.Inf",
        ".nan",
        ".NaN",
        "1.5e+3",
        "01.5",
        "1e400",
        "0.1_0",
        "-010",
        "190:20:30.15",
    ),
]
NUMBERLIKE = st.text("0123456789+-._:eExobinfa", min_size=1, max_size=8)


def theirs(text: str) -> Any:
    """By ruamel.yaml's YAML 1.2."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 2)
    return reader.load(io.StringIO(f"%YAML 1.2\n---\nkey: {text}\n"))["key"]


@given(st.one_of(st.sampled_from(WORDS), NUMBERLIKE, st.integers().map(str), st.floats().map(repr)))
@example("010")
@example("1:4")
def test_plain_scalars(text: str) -> None:
    try:
        ours = parse(f"key: {text}\n", {})["key"]
    except (Refusal, PlainError, TypeError):
        return  # refused, or more than a scalar: "- 1", ": x"
    try:
        right = theirs(text)
    except (YAMLError, ValueError):
        return
    if isinstance(right, float) and math.isnan(right):
        assert isinstance(ours, float) and math.isnan(ours)
    elif not isinstance(right, str | int | float | type(None)):  # a date: text to us
        assert ours == text
    else:
        assert (type(ours), ours) == (type(right), right)


@pytest.mark.parametrize("text", ["010", "08", "-010", "1_000", "0.1_0", "1_0e3", "0b11", "-0x10", "00"])
def test_other_numbers_elsewhere_are_refused(text: str) -> None:
    with pytest.raises(
        Refusal, match="is a different number in other versions of YAML: write it in plain digits, or quote it as text"
    ):
        parse(f"seed: {text}\n", {})
    assert parse(f"seed: '{text}'\n", {}) == {"seed": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:4", "1:4"),
        ("yes", "yes"),
        ("off", "off"),
        ("0o17", 15),
        ("2e-4", 2e-4),
        ("2026-11-23", "2026-11-23"),
        ("", None),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert parse(f"key: {text}\n", {}) == {"key": value}


@pytest.mark.parametrize("text", ["!!int 1:4", "!!bool maybe", "!!bool yes", "!!float x", "!!null x"])
def test_a_tag_that_is_not_true(text: str) -> None:
    with pytest.raises(Refusal, match="leave the tag out"):
        parse(f"key: {text}\n", {})


def test_on_is_a_key() -> None:
    assert parse("on: 1\nyes: 2\n", {}) == {"on": 1, "yes": 2}


@pytest.mark.parametrize("item", ["a: [{}]", "{}", "[{}]"])
def test_a_file_of_too_many_values_is_refused_before_it_takes_minutes(item: str) -> None:
    few, many = (", ".join(item.format(1) for _ in range(n)) for n in (100, MAX_NODES))
    with pytest.raises(Refusal, match=f"more than {MAX_NODES} keys and values: shorten it"):
        parse(f"a: [{many}]", {})
    assert len(parse(f"a: [{few}]", {})["a"]) == 100
