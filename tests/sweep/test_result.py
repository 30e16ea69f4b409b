"""What a sweep found: rows that no other beats."""

from pathlib import Path
from typing import Any

import pytest

from compress.sweep.result import Row, SweepResult, UnitState, front


def row(artifact: str, size: int, **quality: float | None) -> Row:
    facts: dict[str, Any] = {"precision": "int8", "sha256": "0" * 64, "dataset": "d", "point": "p", "size_ratio": None}
    unknown = dict.fromkeys(("lpips", "psnr_drop_db", "lpips_rise", "target", "latency_p50_ms"))
    scores = {"psnr_db": None, "fidelity_db": None, **quality}
    return Row(artifact=artifact, bytes=size, **facts, **unknown, **scores)


@pytest.mark.parametrize("measure", ["psnr_db", "fidelity_db"])
def test_a_front_is_of_psnr_and_without_true_pictures_of_fidelity(measure: str) -> None:
    given = {"none": (0, None), "int8": (1, 20.0), "worse": (2, 19.0), "better": (3, 21.0)}
    rows = [row(name, size, **{measure: value}) for name, (size, value) in given.items()]
    assert [kept.artifact for kept in front(rows)] == ["int8", "better"]


@pytest.mark.parametrize(("codes", "code"), [([], 0), ([0, 2], 0), ([2, 0, 1], 0), ([5, 2], 2), ([5, 1, 4], 1)])
def test_a_sweep_of_failures_alone_ends_as_they_do(codes: list[int], code: int) -> None:
    units = [
        UnitState(str(i), "build", "b", "failed" if each else "done", None, 0.0, "here", each)
        for i, each in enumerate(codes)
    ]
    assert SweepResult("s", Path("s"), "s", 0.0, units, [], "").exit_code == code
