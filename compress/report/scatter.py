"""A scatter plot as one SVG file that opens from disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compress.report.page import environment
from compress.report.plot import Axis, axis

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 76


@dataclass(frozen=True)
class Dot:
    """A point in the axes' units; ``tip`` is shown on hovering."""

    x: float
    y: float
    kind: str
    tip: str


def draw_scatter(title: str, titles: tuple[str, str], dots: Sequence[Dot], kinds: Mapping[str, str]) -> str:
    """The SVG's text; ``titles`` of the axes, ``kinds``: what each dot's kind is called, drawn in this order."""
    x = axis(titles[0], [dot.x for dot in dots], LEFT, WIDTH - RIGHT, 1.0, pad=True)
    y = axis(titles[1], [dot.y for dot in dots], HEIGHT - BOTTOM, TOP, 0.2, pad=True)
    names = list(kinds)
    drawn = [
        {"kind": names.index(dot.kind), "x": round(x.at(dot.x), 1), "y": round(y.at(dot.y), 1), "tip": dot.tip}
        for dot in sorted(dots, key=lambda dot: -names.index(dot.kind))
    ]
    template = environment().get_template("scatter.svg")
    return template.render(
        title=title, x=_drawn(x), y=_drawn(y), dots=drawn, kinds=list(kinds.values()), width=WIDTH, height=HEIGHT
    )


def _drawn(axis: Axis) -> dict[str, object]:
    ticks = [{"at": round(tick.at, 1), "text": tick.text} for tick in axis.ticks]
    return {"title": axis.title, "ticks": ticks, "start": axis.start, "end": axis.end}
