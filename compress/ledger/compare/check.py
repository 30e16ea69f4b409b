"""`compress check`: a bundle against the ledger's earlier rows, or another bundle; what got worse than a limit."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from compress.errors import InputError
from compress.ledger.compare.check_report import BUSY, CheckResult, Verdict
from compress.ledger.compare.measures import compared
from compress.ledger.compare.sides import COMPARABLE, Pair, pairs, side

if TYPE_CHECKING:
    from compress.ledger import Ledger
    from compress.ledger.compare.change import Change
    from compress.results.measurement import Row

LEDGER = "ledger"

DEVICE = ("target", "cpu", "threads")

Where = tuple[str, str | None, str | None]
"""Artifact, target and data set of a limit; None where it is not of one."""


@dataclass(frozen=True)
class Limits:
    """How much worse each measure may get; None: not judged. Drops and rises are differences, the others ratios."""

    max_psnr_drop: float | None = None
    max_ssim_drop: float | None = None
    max_lpips_rise: float | None = None
    max_slowdown: float | None = None
    max_size_growth: float | None = None

    def given(self) -> dict[str, float]:
        """The limits that are set. Raises InputError when none is, or one is not a finite number."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if not given:
            raise InputError("no limit to check: give one or more, for instance --max-psnr-drop 0.05")
        for name, value in given.items():
            if not math.isfinite(value):
                raise InputError(f"--{name.replace('_', '-')} (={value}) must be a finite number")
        return given


BY_PICTURES = ("max_psnr_drop", "max_ssim_drop", "max_lpips_rise")

MEASURES = {  # limit -> (measure, how much worse B is than A)
    "max_psnr_drop": ("psnr_db", lambda a, b: a - b),
    "max_ssim_drop": ("ssim", lambda a, b: a - b),
    "max_lpips_rise": ("lpips", lambda a, b: b - a),
    "max_slowdown": ("latency_p50_ms", lambda a, b: b / a),
    "max_size_growth": ("bytes", lambda a, b: b / a),
}


def check(bundle: str | None, against: str, limits: Limits) -> CheckResult:
    """Judge ``bundle`` (none: the ledger's newest run) by ``limits``, against ``ledger`` or another bundle.

    Raises InputError without limits, or when nothing could be compared: a gate that compared nothing has not passed.
    """
    given = limits.given()
    rows = side(bundle) if bundle is not None else _newest_run()
    row_pairs = _from_ledger(rows) if against == LEDGER else [(p.b, p.a) for p in pairs(side(against), rows)]
    verdicts = _once(verdict for now, before in row_pairs for verdict in _judge(now, before, given))
    if all(verdict.met is None for verdict in verdicts):
        where = "the ledger has no earlier row of it" if against == LEDGER else f"{against} has none of its measures"
        raise InputError(
            f"{bundle or 'newest run'}: nothing to compare with, {where} (rows of `compress bench` alone do not "
            "count): measure it again with `compress apply --fresh`, or name another bundle with --against"
        )
    return CheckResult(bundle or f"run {rows[0].run}", against, verdicts)


def _once(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Each limit once for its artifact, target and data set: one that was judged before one that was not."""
    kept: dict[tuple[str, str], Verdict] = {}
    for verdict in verdicts:
        key = (verdict.artifact, verdict.name)
        if key not in kept or kept[key].met is None:
            kept[key] = verdict
    return list(kept.values())


def _newest_run() -> "list[Row]":
    from compress.ledger import Filter, open_ledger

    ledger = open_ledger()
    newest = ledger.rows(limit=1)
    if not newest:
        raise InputError(f"ledger {ledger.place}: holds no rows: run `compress apply` first")
    return ledger.rows(Filter(run=newest[0].run), pictures=True)


def _from_ledger(rows: "Sequence[Row]") -> "list[tuple[Row, Row | None]]":
    from compress.ledger import open_ledger

    ledger = open_ledger()
    return [(row, _earlier(ledger, row)) for row in rows]


def _earlier(ledger: "Ledger", row: "Row") -> "Row | None":
    """The newest earlier row of the same recipe and artifact, on the same device if there is one."""
    same = {name: getattr(row, name) for name in ("recipe", "artifact", *COMPARABLE)}
    device = {name: getattr(row, name) for name in DEVICE}
    return ledger.latest(same | device, row.created, row.run) or ledger.latest(same, row.created, row.run)


def _judge(now: "Row", before: "Row | None", given: dict[str, float]) -> Iterator[Verdict]:
    """Every limit on one row."""
    changes = {} if before is None else {change.measure: change for change in compared(Pair(before, now)).changes}
    for limit, bound in given.items():
        timed = limit == "max_slowdown"
        where = (now.artifact, now.target if timed else None, now.dataset if limit in BY_PICTURES else None)
        if timed and now.target is None and (before is None or before.target is None):
            continue  # nobody times this artifact
        change = changes.get(MEASURES[limit][0])
        if timed and before is not None and now.target and not _same_device(now, before):
            change = None
        if change is None:
            yield _not_compared(where, limit, bound, before, lost=_lost(MEASURES[limit][0], before, now))
        else:
            busy = timed and (now.busy or (before and before.busy))
            yield _compared(where, limit, bound, before, change, BUSY if busy else None)


def _same_device(a: "Row", b: "Row") -> bool:
    return all(getattr(a, name) == getattr(b, name) for name in DEVICE)


def _lost(measure: str, before: "Row | None", now: "Row") -> bool:
    return before is not None and getattr(before, measure) is not None and getattr(now, measure) is None


def _compared(
    where: Where, limit: str, bound: float, before: "Row | None", change: "Change", reason: str | None
) -> Verdict:
    value = round(MEASURES[limit][1](change.a, change.b), 6)
    against = before.id if before else None
    interval = change.to_json()["interval"]
    return Verdict(*where, limit, bound, value, change.a, change.b, against, interval, value <= bound, reason)


def _not_compared(where: Where, limit: str, bound: float, before: "Row | None", *, lost: bool) -> Verdict:
    """``lost``: the measure was there before, which is a regression."""
    reason = f"{MEASURES[limit][0]} was measured before, not now" if lost else "no earlier row to compare with"
    against = before.id if before else None
    return Verdict(*where, limit, bound, None, None, None, against, None, False if lost else None, reason)
