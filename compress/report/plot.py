"""Geometry of the trade-off plots; the template draws it as SVG."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from compress.report.rows import Row, datasets, rows, targets
from compress.report.text import NONE, megabytes, milliseconds, number
from compress.results.document import Results

WIDTH, HEIGHT = 470, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 34, 46
TEXT_WIDTH, TEXT_HEIGHT = 7.4, 15
VISIBLE_DB = 0.1
"""Below this difference of PSNR, nobody tells two pictures apart."""
LEAST_DB = {"psnr": 0.3, "fidelity": 5.0}
"""Spans of the axes of quality: a shorter one would blow up what cannot be seen."""
Box = tuple[float, float, float, float]


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

    @property
    def reach(self) -> float:
        """Distance from its middle to its farthest edge: a triangle reaches beyond the radius, and every mark has an
        outline.
        """
        return 1.2 * self.radius + 1


@dataclass(frozen=True)
class Mark:
    """A line, or a band from ``top`` to ``bottom``, across the plot; ``x``, ``y``: where its text begins, in px.

    They are NaN, for no text, where every place is taken.
    """

    top: float
    bottom: float
    text: str
    x: float = math.nan
    y: float = math.nan


@dataclass(frozen=True)
class Plot:
    """A scatter plot; ``bound``: a goal's line, ``band``: differences that nobody sees."""

    title: str
    caption: str
    x: Axis
    y: Axis
    points: list[Point]
    absent: list[str]
    bound: Mark | None = None
    band: Mark | None = None
    width: int = field(default=WIDTH)
    height: int = field(default=HEIGHT)


def plots(results: Results) -> list[Plot]:
    """Latency against PSNR, and size against fidelity, on the first data set; a plot without points is left out."""
    every = rows(results)
    dataset = next(iter(datasets(results)), "no data set")
    target = " and ".join(targets(results)) or "no target"
    best = max((psnr for row in every if row.is_reference and (psnr := _psnr(row)) is not None), default=None)
    speed = _plot(
        "Latency and quality",
        f"PSNR on {dataset}, median latency on {target}. The area of a mark is the file's size. Up and left is better."
        + ("" if best is None else f" The band marks less than {VISIBLE_DB:g} dB below fp32, which is not visible."),
        Axes("median latency, ms", "PSNR, dB", LEAST_DB["psnr"]),
        [(row, row.p50_ms, _psnr(row)) for row in every],
        band=best,
    )
    size = _plot(
        "Size and fidelity",
        f"Fidelity on {dataset}: PSNR against the output of the fp32 artifact, which is the reference itself. "
        "Up and left is better.",
        Axes("size, MB", "fidelity, dB", LEAST_DB["fidelity"]),
        [(row, _mb(row), row.quality.fidelity_db if row.quality else None) for row in every if not row.is_reference],
        bound=_bound(results, dataset),
    )
    return [plot for plot in (speed, size) if plot]


@dataclass(frozen=True)
class Axes:
    """Titles, and the least span of the vertical axis."""

    x: str
    y: str
    least: float


def _plot(
    title: str,
    caption: str,
    axes: Axes,
    every: list[tuple[Row, float | None, float | None]],
    *,
    bound: float | None = None,
    band: float | None = None,
) -> Plot | None:
    """``bound``: a goal on the vertical axis; ``band``: the value that a band of ``VISIBLE_DB`` hangs from."""
    known = [(row, x, y) for row, x, y in every if x is not None and y is not None]
    if not known:
        return None
    placed = {row.id for row, _, _ in known}
    absent = [row.id for row, _, _ in every if row.id not in placed]
    heights = [y for _, _, y in known]
    heights += [] if bound is None else [bound]
    heights += [] if band is None else [band - VISIBLE_DB, band]
    x_axis = axis(axes.x, [0.0, *(x for _, x, _ in known)], LEFT, WIDTH - RIGHT, 0.5)
    y_axis = axis(axes.y, heights, HEIGHT - BOTTOM, TOP, axes.least, pad=True)
    largest = max(row.artifact.bytes or 1 for row, _, _ in every)
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
    line = None if bound is None else Mark(y_axis.at(bound), y_axis.at(bound), f"goal {bound:g} dB")
    unseen = None
    if band is not None:
        unseen = Mark(y_axis.at(band), y_axis.at(band - VISIBLE_DB), f"not visible: under {VISIBLE_DB:g} dB")
    taken = _taken(points, line)
    line, unseen = (_with_text(mark, taken) for mark in (line, unseen))
    return Plot(title, caption, x_axis, y_axis, _named(points, taken), absent, line, unseen)


def _psnr(row: Row) -> float | None:
    return row.quality.psnr_db if row.quality else None


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
    if pad and high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    room = max(high - low, least) * 0.12
    step = _round_step((max(high - low, least) + 2 * room) / 5)
    low = math.floor((low - room if pad else low) / step) * step
    high = max(math.ceil((high + room) / step) * step, low + step)
    return Axis(title, low, high, start, end, step)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)


# --- texts: each where it covers neither a point nor another text nor the goal's line ---------------------------


def _taken(points: list[Point], bound: Mark | None) -> list[Box]:
    """Where no text may be."""
    line = [(LEFT, bound.top - 2, WIDTH - RIGHT, bound.top + 2)] if bound else []
    return [*line, *((p.x - p.reach, p.y - p.reach, p.x + p.reach, p.y + p.reach) for p in points)]


def _with_text(mark: Mark | None, taken: list[Box]) -> Mark | None:
    if mark is None:
        return None
    x, y = _first_free(mark.text, _places_at(mark), taken)
    return replace(mark, x=x, y=y)


def _named(points: list[Point], taken: list[Box]) -> list[Point]:
    """With their labels. Those that the reader compares come first: the quantized ones, then the references."""
    first = ("int8", "weights", "fp32")
    places = {
        point.id: _first_free(point.id, _own_places(point, points), taken)
        for point in sorted(points, key=lambda p: first.index(p.precision) if p.precision in first else len(first))
    }
    return [replace(point, label_x=places[point.id][0], label_y=places[point.id][1]) for point in points]


def _first_free(text: str, places: Iterable[tuple[float, float]], taken: list[Box]) -> tuple[float, float]:
    """The first place where the text covers nothing, which it takes; NaN where there is none."""
    x, y = next((at for at in places if _free(_box(text, *at), taken)), (math.nan, math.nan))
    if not math.isnan(x):
        taken.append(_box(text, x, y))
    return x, y


def _places_at(mark: Mark) -> Iterable[tuple[float, float]]:
    """Right, left, then between: inside a band, and above and below a line or a narrow band."""
    left, right = LEFT + 5, WIDTH - RIGHT - 5 - len(mark.text) * TEXT_WIDTH
    tall = mark.bottom - mark.top > TEXT_HEIGHT
    heights = [mark.bottom - 4, mark.top + TEXT_HEIGHT - 2] if tall else []
    heights += [mark.top - 5, mark.bottom + TEXT_HEIGHT]
    yield from ((x, y) for y in heights for x in (right, left, (left + right) / 2))


def _places(point: Point) -> Iterable[tuple[float, float]]:
    """Left ends of the text's baseline to try: right, left, above, below, then the corners."""
    width, gap = len(point.id) * TEXT_WIDTH, point.reach + 2
    sides = (point.x + gap, point.x - gap - width)
    middle = point.x - width / 2
    yield from ((x, point.y + 4) for x in sides)
    yield from ((middle, point.y - gap - 2), (middle, point.y + gap + 11))
    yield from ((x, point.y + 4 + shift) for shift in (-15, 15) for x in sides)


def _own_places(point: Point, points: list[Point]) -> Iterable[tuple[float, float]]:
    """Those that are nearer to the point than to any other: a name beside another's point would be read as its."""
    for at in _places(point):
        box = _box(point.id, *at)
        if all(_distance(box, point) <= _distance(box, other) for other in points):
            yield at


def _distance(box: Box, point: Point) -> float:
    """From the edge of a point to a box, in px."""
    left, top, right, bottom = box
    across = max(left - point.x, 0.0, point.x - right)
    return math.hypot(across, max(top - point.y, 0.0, point.y - bottom)) - point.radius


def _box(text: str, x: float, y: float) -> Box:
    return (x, y - TEXT_HEIGHT + 3, x + len(text) * TEXT_WIDTH, y + 3)


def _free(box: Box, taken: list[Box]) -> bool:
    left, top, right, bottom = box
    inside = left >= LEFT and right <= WIDTH - 2 and top >= TOP - 8 and bottom <= HEIGHT - BOTTOM
    return inside and not any(a < right and left < c and b < bottom and top < d for a, b, c, d in taken)
