"""Geometry of the trade-off plots; the template draws it as SVG."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from compress.report.rows import Row, datasets, rows, targets
from compress.report.text import NONE, megabytes, milliseconds, number
from compress.results.document import Results

WIDTH, HEIGHT = 470, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 14, 46
TEXT_WIDTH, TEXT_HEIGHT = 7.1, 15


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in px of the drawing, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """One axis. ``low`` and ``high`` are its ends in the figure's unit."""

    title: str
    low: float
    high: float
    start: float
    end: float
    step: float

    def at(self, value: float) -> float:
        """Place of ``value``, in px of the drawing."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[Tick]:
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        count = round((self.high - self.low) / self.step)
        values = [self.low + index * self.step for index in range(count + 1)]
        return [Tick(self.at(value), f"{value:.{digits}f}") for value in values]


@dataclass(frozen=True)
class Point:
    """One artifact: place and radius in px, label beside it, and what its tooltip says."""

    id: str
    format: str
    precision: str
    x: float
    y: float
    radius: float
    tip: str
    label_x: float = 0.0
    label_y: float = 0.0


@dataclass(frozen=True)
class Plot:
    """A scatter plot; ``bound`` is the place of a goal's line on the vertical axis."""

    title: str
    caption: str
    x: Axis
    y: Axis
    points: list[Point]
    absent: list[str]
    bound: Tick | None = None
    width: int = field(default=WIDTH)
    height: int = field(default=HEIGHT)


def plots(results: Results) -> list[Plot]:
    """Latency against PSNR, and size against fidelity, on the first data set; a plot without points is left out."""
    every = rows(results)
    dataset = next(iter(datasets(results)), "no data set")
    target = " and ".join(targets(results)) or "no target"
    speed = _plot(
        "Latency and quality",
        f"PSNR on {dataset}, median latency on {target}; the area is the size. Up and left is better.",
        ("median latency, ms", "PSNR, dB"),
        every,
        lambda row: (row.p50_ms, row.quality.psnr_db if row.quality else None),
    )
    size = _plot(
        "Size and fidelity",
        f"Fidelity on {dataset}: PSNR against the fp32 artifact's output, which is itself the reference. "
        "Up and left is better.",
        ("size, MB", "fidelity, dB"),
        [row for row in every if not row.is_reference],
        lambda row: (_mb(row), row.quality.fidelity_db if row.quality else None),
        _bound(results, dataset),
    )
    return [plot for plot in (speed, size) if plot]


def _plot(
    title: str,
    caption: str,
    titles: tuple[str, str],
    every: list[Row],
    place: Callable[[Row], tuple[float | None, float | None]],
    bound: float | None = None,
) -> Plot | None:
    known = [(row, x, y) for row in every for x, y in [place(row)] if x is not None and y is not None]
    if not known:
        return None
    absent = [row.id for row in every if row.id not in {row.id for row, _, _ in known}]
    heights = [y for _, _, y in known] + ([] if bound is None else [bound])
    x_axis = axis(titles[0], [0.0, *(x for _, x, _ in known)], LEFT, WIDTH - RIGHT, 0.5)
    y_axis = axis(titles[1], heights, HEIGHT - BOTTOM, TOP, 0.2, pad=True)
    largest = max(row.artifact.bytes or 1 for row in every)
    points = [
        Point(
            row.id,
            row.artifact.format,
            row.artifact.precision,
            x_axis.at(x),
            y_axis.at(y),
            4 + 11 * math.sqrt((row.artifact.bytes or 0) / largest),
            _tip(row),
        )
        for row, x, y in known
    ]
    line = None if bound is None else Tick(y_axis.at(bound), f"goal {bound:g} dB")
    return Plot(title, caption, x_axis, y_axis, _labelled(points, line), absent, line)


def _tip(row: Row) -> str:
    quality = row.quality
    parts = [megabytes(row.artifact.bytes) + " MB", "p50 " + milliseconds(row.p50_ms) + " ms"]
    if quality is not None:
        parts += [
            "PSNR " + number(quality.psnr_db, 2, unit=" dB"),
            "LPIPS " + number(quality.lpips, 4),
            "fidelity " + number(quality.fidelity_db, 1, unit=" dB"),
        ]
    return f"{row.id}: " + ", ".join(part for part in parts if NONE not in part.split())


def _mb(row: Row) -> float | None:
    return None if row.artifact.bytes is None else row.artifact.bytes / 1e6


def _bound(results: Results, dataset: str) -> float | None:
    goals = (goal for goal in results.goals if goal.goal == "fidelity_db" and goal.dataset in (None, dataset))
    return next((goal.bound for goal in goals), None)


def axis(title: str, values: list[float], start: float, end: float, least: float, *, pad: bool = False) -> Axis:
    """Ends on round steps around the values, at least ``least`` apart; ``pad`` keeps the values off the ends."""
    low, high = min(values), max(values)
    room = max(high - low, least) * 0.12
    step = _round_step((max(high - low, least) + 2 * room) / 5)
    low = math.floor((low - room if pad else low) / step) * step
    high = max(math.ceil((high + room) / step) * step, low + step)
    return Axis(title, low, high, start, end, step)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)


def _labelled(points: list[Point], bound: Tick | None) -> list[Point]:
    """Each label beside its point where it covers nothing; NaN, for no label, when every place is taken."""
    taken = [(p.x - p.radius, p.y - p.radius, p.x + p.radius, p.y + p.radius) for p in points]
    if bound:
        end = WIDTH - RIGHT
        taken.append((end - 4 - len(bound.text) * TEXT_WIDTH, bound.at - 5 - TEXT_HEIGHT, end, bound.at))
    placed = []
    for point in points:
        x, y = next((at for at in _places(point) if _free(_box(point, *at), taken)), (math.nan, math.nan))
        if not math.isnan(x):
            taken.append(_box(point, x, y))
        placed.append(replace(point, label_x=x, label_y=y))
    return placed


def _places(point: Point) -> Iterable[tuple[float, float]]:
    """Left ends of the text's baseline to try: right, left, above, below, then the corners."""
    width, gap = len(point.id) * TEXT_WIDTH, point.radius + 4
    sides = (point.x + gap, point.x - gap - width)
    middle = point.x - width / 2
    yield from ((x, point.y + 4) for x in sides)
    yield from ((middle, point.y - gap), (middle, point.y + gap + 9))
    yield from ((x, point.y + 4 + shift) for shift in (-14, 14, -28, 28) for x in sides)


def _box(point: Point, x: float, y: float) -> tuple[float, float, float, float]:
    return (x, y - TEXT_HEIGHT + 3, x + len(point.id) * TEXT_WIDTH, y + 3)


def _free(box: tuple[float, float, float, float], taken: list[tuple[float, float, float, float]]) -> bool:
    left, top, right, bottom = box
    inside = left >= LEFT and right <= WIDTH - 2 and top >= TOP - 8 and bottom <= HEIGHT - BOTTOM
    return inside and not any(a < right and left < c and b < bottom and top < d for a, b, c, d in taken)
