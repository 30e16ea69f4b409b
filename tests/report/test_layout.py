"""What lies where on the pages, in a real browser: nothing on anything else, nothing cut."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.ledger import Filter
from compress.ledger.report import report
from compress.report import write_report

OVERLAPS = """
const found = [], covers = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5
  && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
for (const svg of document.querySelectorAll("svg")) {
  const boxes = (what) => [...svg.querySelectorAll(what)].map(
    (e) => [e.textContent.trim() || e.dataset.tip || "goal's line", e.getBoundingClientRect()]);
  const texts = boxes("text"), others = boxes(".label, text.bound, text.band"), line = boxes("line.bound");
  texts.forEach(([name, box], i) => {
    for (const [other, its] of [...texts.slice(i + 1), ...line]) if (covers(box, its)) found.push([name, other]);
  });
  const points = boxes(".point");
  for (const [name, box] of others) for (const [tip, its] of points) if (covers(box, its)) found.push([name, tip]);
  const frame = svg.getBoundingClientRect();
  for (const [name, box] of texts) {
    const out = box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1;
    if (out) found.push([name, "the edge"]);
  }
}
return [document.querySelectorAll("svg text").length, found];
"""
CUT = """
return [...document.querySelectorAll("table")].filter((table) => {
  const holder = table.closest(".scroll");
  holder.scrollLeft = 1e6;
  const last = table.rows[0].cells[table.rows[0].cells.length - 1].getBoundingClientRect();
  const end = Math.min(innerWidth, holder.getBoundingClientRect().right + 1);
  return getComputedStyle(holder).overflowX !== "auto" || last.right > end;
}).length + (document.documentElement.scrollWidth > innerWidth);
"""


@pytest.fixture()
def pages(tmp_path: Path, bundle: Path, measured: Callable[..., Path]) -> list[Path]:
    """One bundle's page, and that of two."""
    both = [measured(tmp_path / "a"), measured(tmp_path / "b", "newer", "2026-11-22T10:00:00+00:00")]
    report(both, Filter(), 50, tmp_path / "page.html")
    return [write_report(bundle), tmp_path / "page.html"]


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_no_text_lies_on_another_and_no_table_is_cut(
    pages: list[Path], browser: Callable[..., Any], width: int
) -> None:
    for page in pages:
        with browser(width, 900) as driver:
            driver.get(page.as_uri())
            count, overlaps = driver.execute_script(OVERLAPS)
            assert count > 12 and overlaps == []
            assert driver.execute_script(CUT) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_first_screen_of_a_phone_answers_without_a_sideways_scroll(
    bundle: Path, browser: Callable[..., Any], dark: bool
) -> None:
    page = write_report(bundle)
    with browser(390, 844, dark) as driver:
        driver.get(page.as_uri())
        glance = driver.find_element("css selector", ".glance .scroll")
        wide, seen = (glance.get_property(name) for name in ("scrollWidth", "clientWidth"))
        assert wide <= seen <= 390
        assert "Size" in glance.text and "Latency" in glance.text and "Drop" in glance.text
        sentence = driver.find_element("class name", "headline")
        assert sentence.text == "3.8x smaller, 2.1x faster, 0.03 dB worse: use int8/openvino/model.xml"
        ends = driver.execute_script(
            "return [...document.querySelectorAll('.verdict, .headline, .glance tbody tr')]"
            ".slice(0, 5).map((e) => e.getBoundingClientRect().bottom)"
        )
        assert max(ends) < 844
        assert "fidelity_db of executorch-int8" in driver.find_element("class name", "verdict").text


def test_showcase_shows_the_pictures_of_its_samples(bundle: Path, browser: Callable[..., Any]) -> None:
    page = write_report(bundle)
    with browser(1280, 900) as driver:
        driver.get(page.as_uri())
        figures = driver.find_elements("css selector", ".showcase figure")
        assert [figure.find_element("tag name", "h3").text for figure in figures] == [
            "What the model does well", "What it does not do well",
        ]  # fmt: skip
        assert figures[0].rect["y"] == figures[1].rect["y"], "beside each other"
        for name, figure in zip(("astronaut", "coffee"), figures, strict=True):
            shown = [image.get_attribute("src") for image in figure.find_elements("tag name", "img")]
            own = [
                driver.find_element("css selector", f".thumbs img[alt='{name}: {label}']").get_attribute("src")
                for label in ("degraded", "openvino-int8", "clean")
            ]
            assert shown == own
        assert driver.get_log("browser") == []
