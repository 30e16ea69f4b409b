"""Words for figures."""

from typing import Any

import pytest

from compress.ledger.compare.change import Change
from compress.ledger.compare.difference import Difference
from compress.ledger.compare.verdict import in_words


def words(**measures: tuple[Any, ...]) -> str:
    changes = {name: Change(name, *values) for name, values in measures.items()}
    return in_words(changes.get)


@pytest.mark.parametrize(
    ("measures", "wanted"),
    [
        (
            {"latency_p50_ms": (17.0, 10.0), "psnr_db": (25.0, 24.96, Difference(-0.04, -0.09, 0.01))},
            "B is 1.70x faster, 0.04 dB worse (interval includes 0)",
        ),
        (
            {"latency_p50_ms": (10.0, 17.0), "bytes": (100, 25)},
            "B is 1.70x slower, 4.00x smaller",
        ),
        (
            {"latency_p50_ms": (10.0, 10.1), "bytes": (100, 100), "psnr_db": (25.0, 25.0)},
            "B is as fast, as large, equal in PSNR",
        ),
        (
            {"lpips": (0.15, 0.16, Difference(0.01, 0.008, 0.012))},
            "B is 0.0100 LPIPS worse (interval excludes 0)",
        ),
        ({"lpips": (0.16, 0.15)}, "B is 0.0100 LPIPS better (no interval)"),
        ({}, "nothing was measured on both sides"),
    ],
)
def test_verdicts(measures: dict[str, tuple[Any, ...]], wanted: str) -> None:
    assert words(**measures) == wanted
