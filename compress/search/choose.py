"""Which bits to try next: an integer linear program over measured sensitivities, sizes and times.

Errors of layers quantized alone are taken to add up, which holds roughly while they are small; so each choice is
measured as a whole before it counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from compress.search.quality import TorchQuality

SOLVER_S = 20
SLOWER = (0.0, 0.03, 0.1)
"""Times that are tried: over the recipe's own, as a share of what all floats would add."""
LARGER = 1.5
"""Largest size tried, times the recipe's own: more bits than that are another recipe."""


@dataclass(frozen=True)
class Option:
    """A group's figures with some bits: squared error of [0, 1] alone, and predicted cost."""

    bits: int
    error: float
    bytes: float
    ms: float


@dataclass(frozen=True)
class Problem:
    """``options`` of each group, what everything else costs, and the bounds. None: no bound, or no time known."""

    options: Mapping[str, Sequence[Option]]
    rest_bytes: float
    rest_ms: float | None
    most_bytes: float | None = None
    most_ms: float | None = None

    def cost(self, choice: Mapping[str, int]) -> tuple[float, float, float | None]:
        """Predicted squared error, bytes and ms of bits by group."""
        taken = [next(o for o in self.options[name] if o.bits == bits) for name, bits in choice.items()]
        ms = None if self.rest_ms is None else self.rest_ms + sum(o.ms for o in taken)
        return sum(o.error for o in taken), self.rest_bytes + sum(o.bytes for o in taken), ms

    def solve(self, most_bytes: float | None = None, most_ms: float | None = None) -> dict[str, int] | None:
        """Bits by group with the least error within the bounds, these and the problem's own; None: nothing fits."""
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp

        flat = [(i, option) for i, options in enumerate(self.options.values()) for option in options]
        one_each = np.zeros((len(self.options), len(flat)))
        for column, (i, _) in enumerate(flat):
            one_each[i, column] = 1
        rows = [LinearConstraint(one_each, 1, 1)]
        limits = ((most_bytes, self.most_bytes, "bytes", self.rest_bytes), (most_ms, self.most_ms, "ms", self.rest_ms))
        for asked, own, field, rest in limits:
            bounds = [bound for bound in (asked, own) if bound is not None]
            if bounds and rest is not None:
                rows.append(LinearConstraint([[getattr(o, field) for _, o in flat]], ub=min(bounds) - rest))
        errors = np.array([option.error for _, option in flat])
        sizes = np.array([option.bytes for _, option in flat])
        # Of choices with equal error, the smallest.
        objective = errors / max(errors.max(), 1e-30) + 1e-6 * sizes / max(sizes.max(), 1.0)
        limit = {"time_limit": SOLVER_S, "mip_rel_gap": 1e-4}
        solved = milp(objective, integrality=np.ones(len(flat)), bounds=Bounds(0, 1), constraints=rows, options=limit)
        if solved.x is None:
            return None
        names = list(self.options)
        return {names[i]: option.bits for (i, option), x in zip(flat, solved.x, strict=True) if x > 0.5}

    def smallest(self) -> float:
        """Bytes with the fewest bits everywhere."""
        return self.rest_bytes + sum(min(o.bytes for o in options) for options in self.options.values())

    def sweep(self, usual: Mapping[str, int], count: int) -> Iterator[dict[str, int]]:
        """About ``count`` choices over sizes and times, the recipe's own bits ``usual`` first; half of them as quick as
        those."""
        _, size, ms = self.cost(usual)
        yield dict(usual)
        slowest = sum(max(o.ms for o in options) for options in self.options.values())
        shares = SLOWER if slowest else SLOWER[:1]
        levels = [None] if ms is None else [ms + share * slowest + 1e-6 for share in shares]
        for i, level in enumerate(levels):
            best = self.solve(LARGER * size, level)
            if best is None:
                continue
            yield best
            sizes = max(2, count // 4 if i else count // 2)
            largest, smallest = self.cost(best)[1], self.smallest() + 1
            for k in range(1, sizes if i else sizes + 1):
                if (choice := self.solve(largest - k * (largest - smallest) / sizes, level)) is not None:
                    yield choice

    def between(self, tried: Sequence["Trial"]) -> Iterator[dict[str, int]]:
        """Choices whose sizes lie between those of ``tried`` neighbours, the most promising gap first: where the
        constraints begin to be met, then where fidelity falls the most."""
        ordered = sorted(pareto(tried), key=lambda t: t.bytes)
        pairs = list(pairwise(ordered))
        pairs.sort(key=lambda p: (p[0].met == p[1].met, -abs(p[1].fidelity_db - p[0].fidelity_db)))
        for small, large in pairs:
            level = None if large.ms is None else max(small.ms or 0.0, large.ms) + 1e-6
            if (choice := self.solve((small.bytes + large.bytes) / 2, level)) is not None:
                yield choice


@dataclass(frozen=True)
class Trial:
    """A combination: bits by group, ``bytes`` and ``ms`` predicted, ``quality`` measured in torch, ``met``: whether
    it keeps the constraints."""

    bits: Mapping[str, int]
    bytes: float
    ms: float | None
    quality: TorchQuality
    met: bool

    @property
    def fidelity_db(self) -> float:
        return self.quality.fidelity_db


def pareto(tried: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats in size, time and fidelity together, the smallest first; of equals, the first."""
    kept = [
        t
        for i, t in enumerate(tried)
        if not any(_beats(other, t) or (_axes(other) == _axes(t) and j < i) for j, other in enumerate(tried))
    ]
    return sorted(kept, key=lambda t: t.bytes)


def _axes(tried: Trial) -> tuple[float, float, float]:
    return tried.bytes, tried.ms or 0.0, -tried.fidelity_db


def _beats(a: Trial, b: Trial) -> bool:
    return _axes(a) != _axes(b) and all(x <= y for x, y in zip(_axes(a), _axes(b), strict=True))
