"""Numbers as people read them."""

import pytest
from rich.console import Group
from rich.table import Table

from compress.cli.output import show
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


def test_ids_stay_whole_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Result:
        def table(self) -> Group:
            table = Table("words", "artifact", "data set")
            table.add_column("p50 ms", no_wrap=True)
            table.add_row("any words may be folded", "onnx-int8-tensorrt-and-more", "validation pictures", "1.8")
            return Group(table)

    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the stream for a terminal
    monkeypatch.setenv("COLUMNS", "40")
    show(Result(), as_json=False)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("onnx-int8-tensorrt-and-more", "validation pictures", "p50 ms"))
