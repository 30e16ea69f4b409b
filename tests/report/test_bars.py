"""The bar chart: well-formed, heights in proportion, texts escaped."""

from xml.etree import ElementTree

import pytest

from compress.report.bars import HEIGHT, TOP, Bar, draw_bars

SVG = "{http://www.w3.org/2000/svg}"


def test_heights_are_the_shares() -> None:
    root = ElementTree.fromstring(draw_bars("a < b", [Bar("one", 0.5, "x & y"), Bar("two", 0.25, "z")]))
    bars = [r for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    heights = [float(bar.get("height", "0")) for bar in bars]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.02)
    assert min(float(bar.get("y", "0")) for bar in bars) >= TOP and heights[0] < HEIGHT
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[0] == "a < b" and texts[-2:] == ["one", "two"] and "0 %" in texts
    assert [bar.find(f"{SVG}title").text for bar in bars] == ["x & y", "z"]  # type: ignore[union-attr]


@pytest.mark.parametrize("share", [1e-6, 0.013, 0.07, 1.0])
def test_the_axis_ends_over_the_tallest(share: float) -> None:
    root = ElementTree.fromstring(draw_bars("t", [Bar("one", share, "x")]))
    lines = [float(line.get("y1", "0")) for line in root.iter(f"{SVG}line")]
    assert min(lines) == TOP and 2 <= len(lines) <= 7
