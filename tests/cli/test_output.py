"""Numbers as people read them."""

import pytest

from compress.text import plain


@pytest.mark.parametrize(
    ("value", "digits", "sign", "text"),
    [
        (32037593, 6, "", "32037593"),
        (37180932096, 7, "", "37180932096"),
        (-23415274.0, 5, "+", "-23415274"),
        (24.065321, 6, "", "24.0653"),
        (0.00027, 5, "+", "+0.00027"),
        (0, 6, "+", "+0"),
    ],
)
def test_no_powers_of_ten(value: float, digits: int, sign: str, text: str) -> None:
    assert plain(value, digits, sign) == text
