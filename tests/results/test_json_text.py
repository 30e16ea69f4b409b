"""JSON from a stranger: what is read can be written again; everything else is a ValueError of one line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.results.document import Results
from compress.results.json_text import DEEPEST, parse_json

SHELLS = [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: [0, {"b": 1}, inner]]


def nested(shells: list[Any]) -> Any:
    document: Any = 0
    for shell in shells:
        document = shell(document)
    return document


@given(st.integers(0, 400).flatmap(lambda n: st.lists(st.sampled_from(SHELLS), min_size=n, max_size=n)))
def test_whatever_is_read_can_be_written_again(shells: list[Any]) -> None:
    document = nested(shells)
    text = json.dumps({"schema_version": 1, "machine": {"more": document}})
    if len(shells) <= DEEPEST - 2:
        results = Results.model_validate(parse_json(text))
        assert results.to_json()["machine"] == {"more": document}
    elif len(shells) > DEEPEST:
        with pytest.raises(ValueError, match=r"^nested too deep$"):
            parse_json(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NaN", "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("1e999", "1e999 is not a finite number"),
        (str(2**63), "does not fit in 64 bits"),
        ("9" * 5000, "does not fit in 64 bits"),
        ("[" * 200_000, "nested too deep"),
        ("", "Expecting value"),
    ],
)
def test_what_others_could_not_hold(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)
