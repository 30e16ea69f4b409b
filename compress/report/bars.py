"""A bar chart as one SVG file that opens from disk: a bar a layer, coloured by its network."""

import math
from dataclasses import dataclass

from compress.report.page import environment

WIDTH, HEIGHT = 1000, 360
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 36, 40
TICKS = 4


@dataclass(frozen=True)
class Bar:
    """``share`` of the whole, 0 to 1; ``tip`` is shown on hovering."""

    group: str
    share: float
    tip: str


def draw_bars(title: str, bars: list[Bar]) -> str:
    """The SVG's text; the axis ends just over the tallest bar."""
    groups = list(dict.fromkeys(bar.group for bar in bars))
    tallest = max(bar.share for bar in bars)
    step = _step(tallest / TICKS)
    end = step * math.ceil(tallest / step)
    width, height = (WIDTH - LEFT - RIGHT) / len(bars), HEIGHT - TOP - BOTTOM
    drawn = [
        {
            "group": groups.index(bar.group),
            "x": round(LEFT + index * width, 2),
            "y": round(TOP + height * (1 - bar.share / end), 2),
            "width": round(max(0.8 * width, 0.5), 2),
            "height": round(height * bar.share / end, 2),
            "tip": bar.tip,
        }
        for index, bar in enumerate(bars)
    ]
    ticks = [
        {"at": round(TOP + height * (1 - k * step / end), 2), "text": f"{100 * k * step:g} %"}
        for k in range(round(end / step) + 1)
    ]
    template = environment().get_template("bars.svg")
    return template.render(title=title, bars=drawn, groups=groups, ticks=ticks, width=WIDTH, height=HEIGHT, left=LEFT)


def _step(least: float) -> float:
    """The smallest of 1, 2, 5 x 10^n that is not below ``least``."""
    power = 10 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
