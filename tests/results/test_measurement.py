"""What a row is, and what makes it the same row."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from compress.results.measurement import Measurement

Make = Callable[..., Measurement]


def test_the_id_is_the_contents(make: Make) -> None:
    assert make().id == make(bundle="/somewhere").id
    assert make().id == make(created="2026-11-23T13:00:00+01:00").id, "the same moment"
    changed = [make(psnr_db=24.2), make(run="1"), make(pictures=None), make(versions={}), make(target="x86")]
    assert len({row.id for row in (make(), *changed)}) == 6


def test_an_id_stays_what_it_was(make: Make) -> None:
    """Rows of an earlier release are found again: a new field must not change the ids of old rows."""
    assert make().id == "70e7907b6ecb4b5519d1f5944c4c105f6a36c1f08701a0b52eaeff19703d2d43"


@pytest.mark.parametrize(
    "change",
    [
        {"psnr_db": float("nan")},
        {"created": "2026-11-23T12:00:00"},
        {"recipe": ""},
        {"created": "9999-12-31T23:59:59-23:59"},
        {"created": "0001-01-01T00:00+23:59"},
    ],
)
def test_what_is_no_measurement(change: dict, make: Make) -> None:
    with pytest.raises(ValidationError):
        make(**change)
