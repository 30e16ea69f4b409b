"""`compress check`: a bundle against the ledger's earlier rows, or another bundle; what got worse than a limit."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from compress.errors import InputError
from compress.ledger.compare.check_report import CheckResult, Verdict
from compress.ledger.compare.measures import compared
from compress.ledger.compare.sides import COMPARABLE, Pair, Row, pairs, side

if TYPE_CHECKING:
    from compress.ledger import Ledger
    from compress.ledger.compare.change import Change

LEDGER = "ledger"

DEVICE = ("target", "cpu", "threads")


@dataclass(frozen=True)
class Limits:
    """How much worse each measure may get; None: not judged. Drops and rises are differences, the others ratios."""

    max_psnr_drop: float | None = None
    max_ssim_drop: float | None = None
    max_lpips_rise: float | None = None
    max_slowdown: float | None = None
    max_size_growth: float | None = None

    def given(self) -> dict[str, float]:
        """The limits that are set. Raises InputError when none is."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if not given:
            raise InputError("no limit to check: give one or more, for instance --max-psnr-drop 0.05")
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
    found = _from_ledger(rows, limits) if against == LEDGER else [(p.b, p.a) for p in pairs(side(against), rows)]
    verdicts = _once(verdict for now, before in found for verdict in _judge(now, before, given))
    if all(verdict.met is None for verdict in verdicts):
        where = "the ledger has no earlier row of it" if against == LEDGER else f"{against} has none of its measures"
        raise InputError(
            f"{bundle or 'newest run'}: nothing to compare with, {where}: record one with `compress apply`"
        )
    return CheckResult(bundle or f"run {rows[0]['run']}", against, verdicts)


def _once(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Each limit once for its artifact, target and data set: one that was judged before one that was not."""
    found: dict[tuple[str, str], Verdict] = {}
    for verdict in verdicts:
        key = (verdict.artifact, verdict.name)
        if key not in found or found[key].met is None:
            found[key] = verdict
    return list(found.values())


def _newest_run() -> list[Row]:
    from compress.ledger import Filter, open_ledger

    ledger = open_ledger()
    newest = ledger.rows(limit=1)
    if not newest:
        raise InputError(f"ledger {ledger.place}: holds no rows: run `compress apply` first")
    return ledger.rows(Filter(run=newest[0]["run"]), pictures=True)


def _from_ledger(rows: Sequence[Row], limits: Limits) -> list[tuple[Row, Row | None]]:
    from compress.ledger import open_ledger

    ledger = open_ledger()
    return [(row, _earlier(ledger, row)) for row in rows]


def _earlier(ledger: "Ledger", row: Row) -> Row | None:
    """The newest earlier row of the same recipe and artifact, on the same device if there is one."""
    alike = {name: row[name] for name in ("recipe", "artifact", *COMPARABLE)}
    device = {name: row[name] for name in DEVICE}
    return ledger.latest(alike | device, row["created"], row["id"]) or ledger.latest(alike, row["created"], row["id"])


def _judge(now: Row, before: Row | None, given: dict[str, float]) -> Iterator[Verdict]:
    """Every limit on one row."""
    changes = {} if before is None else {change.measure: change for change in compared(Pair(before, now)).changes}
    for limit, bound in given.items():
        timed = limit == "max_slowdown"
        judged = (now["artifact"], now["target"] if timed else None, now["dataset"] if limit in BY_PICTURES else None)
        if timed and now["target"] is None and (before is None or before["target"] is None):
            continue  # nobody times this artifact
        change = changes.get(MEASURES[limit][0])
        if timed and before is not None and now["target"] and any(now[name] != before[name] for name in DEVICE):
            change = None
        yield _verdict(judged, now, before, limit, bound, change)


def _verdict(
    where: tuple[str, str | None, str | None],
    now: Row,
    before: Row | None,
    limit: str,
    bound: float,
    change: "Change | None",
) -> Verdict:
    against = before["id"] if before else None
    if change is not None:
        value = round(MEASURES[limit][1](change.a, change.b), 6)
        interval = change.to_json()["interval"]
        return Verdict(*where, limit, bound, value, change.a, change.b, against, interval, value <= bound)
    measure = MEASURES[limit][0]
    lost = before is not None and before[measure] is not None and now[measure] is None
    reason = f"{measure} was measured before, not now" if lost else "no earlier row to compare with"
    return Verdict(*where, limit, bound, None, None, None, against, None, False if lost else None, reason)
