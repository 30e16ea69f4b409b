"""The integer program against every choice there is; what beats what."""

from itertools import product

import pytest

from compress.search.choose import Option, Problem, Trial, pareto
from compress.search.quality import TorchQuality

ERRORS = {"a": (9e-5, 2e-6), "b": (1e-5, 1e-6), "c": (3e-5, 8e-6), "d": (2e-6, 1e-6)}
SIZES = {"a": 100, "b": 900, "c": 400, "d": 50}
USUAL = dict.fromkeys(ERRORS, 8)


@pytest.fixture()
def problem() -> Problem:
    def options(name: str) -> list[Option]:
        four, eight = ERRORS[name]
        size = SIZES[name]
        return [Option(4, four, size / 2, 0), Option(8, eight, size, 0), Option(16, 0, 4 * size, 1.0)]

    return Problem({name: options(name) for name in ERRORS}, rest_bytes=10, rest_ms=20.0)


def every(problem: Problem) -> list[dict[str, int]]:
    return [dict(zip(ERRORS, bits, strict=True)) for bits in product((4, 8, 16), repeat=len(ERRORS))]


@pytest.mark.parametrize(
    ("most_bytes", "most_ms"), [(800, 20.0), (1200, 20.0), (1500, 21.0), (3000, 22.5), (9e9, 30.0)]
)
def test_no_choice_within_the_bounds_errs_less(problem: Problem, most_bytes: float, most_ms: float) -> None:
    result = problem.solve(most_bytes, most_ms)
    assert result is not None
    costs = [problem.cost(bits) for bits in every(problem)]
    least = min(error for error, size, ms in costs if size <= most_bytes and ms is not None and ms <= most_ms)
    assert problem.cost(result)[0] == pytest.approx(least, rel=1e-3, abs=1e-9)


def test_bounds_that_nothing_keeps(problem: Problem) -> None:
    assert problem.solve(700) is None
    assert problem.smallest() == 735
    assert problem.solve(735) == dict.fromkeys(ERRORS, 4)


def test_own_bounds_count_too(problem: Problem) -> None:
    from dataclasses import replace

    tight = replace(problem, most_bytes=1000, most_ms=20.0)
    result = tight.solve()
    assert result is not None and 16 not in result.values()
    assert tight.cost(result)[1] <= 1000


def test_a_sweep_begins_with_the_recipes_own(problem: Problem) -> None:
    result = list(problem.sweep(USUAL, 10))
    assert result[0] == USUAL
    sizes = [problem.cost(bits)[1] for bits in result]
    assert min(sizes) == problem.smallest() and max(sizes) <= 1.5 * problem.cost(USUAL)[1]
    slow = [ms for bits in result if (ms := problem.cost(bits)[2]) is not None]
    assert min(slow) == 20.0 and max(slow) <= 20.0 + 0.1 * 4 + 1e-5


def test_between_neighbours(problem: Problem) -> None:
    ends = [point(problem, USUAL, 50.0), point(problem, dict.fromkeys(ERRORS, 4), 40.0)]
    result = next(problem.between(ends))
    assert ends[1].bytes < problem.cost(result)[1] < ends[0].bytes


def quality(fidelity_db: float) -> TorchQuality:
    return TorchQuality(n=1, psnr_db=24.0, psnr_drop_db=0.0, ssim_drop=0.0, lpips_rise=0.0, fidelity_db=fidelity_db)


def point(problem: Problem, bits: dict[str, int], fidelity_db: float, met: bool = True) -> Trial:
    _, size, ms = problem.cost(bits)
    return Trial(bits, size, ms, quality(fidelity_db), met)


def test_the_gap_where_constraints_begin_to_be_met_comes_first(problem: Problem) -> None:
    large, middle = USUAL, {**USUAL, "b": 4}
    small = dict.fromkeys(ERRORS, 4)
    tried = [
        point(problem, large, 50.0),
        point(problem, middle, 49.0, met=False),
        point(problem, small, 30.0, met=False),
    ]
    result = next(problem.between(tried))
    sizes = [problem.cost(bits)[1] for bits in (middle, result, large)]
    assert sizes[0] <= sizes[1] <= sizes[2]


def tried(size: float, ms: float, fidelity_db: float) -> Trial:
    return Trial({}, size, ms, quality(fidelity_db), True)


def test_the_unbeaten() -> None:
    small, good, quick, beaten = tried(1, 5, 40), tried(3, 5, 50), tried(3, 4, 45), tried(3, 5, 45)
    assert pareto([beaten, good, quick, small, tried(1, 5, 40)]) == [small, good, quick]
