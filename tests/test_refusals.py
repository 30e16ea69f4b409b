"""Lines of a refusal: each reason is told, and no reason takes pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.errors import InputError
from compress.refusals import FEW_PICTURES, Refusals, few_pictures

REASONS = ["{0} x {1} px, smaller than the crop of 256 px: leave it out", "no picture: remove it"]


def test_two_more_pictures_are_counted_and_one_is_named() -> None:
    lines = [f"{i}.png: {i} x 9 px, too small" for i in range(5)]
    assert few_pictures("mine", lines) == [*lines[:3], "mine: 2 more pictures for the same reason"]
    assert few_pictures("mine", lines[:4]) == lines[:4]


@given(chosen=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 255)), max_size=300))
def test_no_reason_is_lost_and_every_picture_is_counted(chosen: list[tuple[int, int]]) -> None:
    lines = [f"{i}.png: {REASONS[reason].format(size, i)}" for i, (reason, size) in enumerate(chosen)]
    told = few_pictures("mine", lines)
    rest = [line for line in told if line.startswith("mine: ")]
    named = [line for line in told if line in lines]
    assert len(rest) + len(named) == len(told) <= len(REASONS) * (FEW_PICTURES + 1)
    assert len(named) + sum(int(line.split()[1]) for line in rest) == len(lines)
    assert {reason for reason, _ in chosen} == {line.endswith("remove it") for line in named}


def test_what_is_refused_passes_through() -> None:
    refusals = Refusals()
    for i in range(40):
        with refusals.gathered():
            raise InputError(f"{i}.png: too small")
    with pytest.raises(InputError) as refused:
        refusals.refuse(lambda lines: few_pictures("mine", lines))
    assert str(refused.value).splitlines()[2:] == ["2.png: too small", "mine: 37 more pictures for the same reason"]
