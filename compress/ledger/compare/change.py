"""One measure on both sides of a comparison."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compress.ledger.compare.difference import Difference


@dataclass(frozen=True)
class Change:
    """One measure of both sides; ``difference`` is B - A with its interval, None where pictures were not kept."""

    measure: str
    a: float
    b: float
    difference: "Difference | None" = None

    def to_json(self) -> dict[str, Any]:
        """Values, difference, ratio B / A, and the 95 % interval of the difference."""
        low, high = (self.difference.low, self.difference.high) if self.difference else (None, None)
        interval = None if low is None else {"low": low, "high": high, "includes_0": low <= 0 <= high}  # type: ignore[operator]
        ratio = self.b / self.a if self.a else math.inf
        values = {"measure": self.measure, "a": self.a, "b": self.b, "difference": round(self.b - self.a, 6)}
        return {**values, "ratio": round(ratio, 5) if math.isfinite(ratio) else None, "interval": interval}
