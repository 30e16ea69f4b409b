"""Lines of a refusal: each reason is told, and no reason takes pages."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.errors import InputError
from compress.refusals import FEW_PICTURES, MOST_NAMES, Refusals, few_pictures, shortened

REASONS = ["{0} x {1} px, smaller than the crop of 256 px: leave it out", "no picture: remove it"]


def refused(name: str, lines: list[str]) -> list[str]:
    """Lines of the error, after all that is done to them."""
    refusals = Refusals()
    for line in lines:
        with refusals.gathered():
            raise InputError(line)
    with pytest.raises(InputError) as error:
        refusals.refuse(partial(few_pictures, name))
    return str(error.value).splitlines()


def test_two_more_pictures_are_counted_and_one_is_named() -> None:
    lines = [f"a/{i}.png: {i} x 9 px, too small" for i in range(5)]
    assert refused("mine", lines) == [*lines[:3], "mine: 2 more pictures (3.png, 4.png): 3 x 9 px, too small"]
    assert refused("mine", lines[:4]) == lines[:4]


@given(chosen=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 255)), min_size=1, max_size=300))
def test_no_reason_is_lost_and_every_picture_is_counted(chosen: list[tuple[int, int]]) -> None:
    lines = [f"{i}.png: {REASONS[reason].format(size, i)}" for i, (reason, size) in enumerate(chosen)]
    told = refused("mine", lines)
    rest = [line for line in told if line.startswith("mine: ")]
    named = [line for line in told if line in lines]
    assert len(rest) + len(named) == len(told) <= len(REASONS) * (FEW_PICTURES + 1)
    assert len(named) + sum(int(line.split()[1]) for line in rest) == len(lines)
    assert {reason for reason, _ in chosen} == {line.endswith("remove it") for line in told}


def test_sets_whose_names_end_alike_are_both_counted() -> None:
    lines = [f"{name}: 2 more pictures (a, b): too small" for name in ("set", "myset")]
    assert shortened(lines) == lines
    assert shortened(["too small", "x.yaml:3: too small"]) == ["x.yaml:3: too small"]


def test_the_others_are_named_up_to_a_number() -> None:
    *_, last = refused("mine", [f"{i}.png: no picture" for i in range(400)])
    assert last.startswith("mine: 397 more pictures (3.png, 4.png, ") and last.count(".png") == MOST_NAMES
    assert last.endswith(", ...): no picture")
