import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.bundle.schema import Facts
from compress.errors import InputError, VerificationError
from compress.ledger import Filter
from compress.ledger.report import report
from compress.report import write_report
from compress.report.sheets import parity
from compress.results.document import Results
from compress.results.parity import Parity

Rewrite = Callable[[Path, Callable[[dict[str, Any]], None]], str]


@pytest.fixture()
def rewrite(relist: Callable[[Path], None]) -> Rewrite:
    """(bundle, change of its results) -> its page, as if `apply` had written these."""

    def page(bundle: Path, change: Callable[[dict[str, Any]], None]) -> str:
        results = json.loads((bundle / "results.json").read_text())
        change(results)
        (bundle / "results.json").write_text(json.dumps(results))
        relist(bundle)
        return write_report(bundle).read_text(encoding="utf-8")

    return page


def _section(html: str, name: str) -> str:
    return re.search(rf'<section id="{name}">(.*?)</section>', html, re.DOTALL)[1]


def test_page_is_written_into_the_bundle_and_small(bundle: Path) -> None:
    path = write_report(bundle)
    assert path == bundle / "report.html"
    assert 10_000 < path.stat().st_size < 6_000_000
    assert not list(bundle.glob(".part-*"))


def test_page_loads_nothing_from_outside(bundle: Path) -> None:
    html = write_report(bundle).read_text(encoding="utf-8")
    references = re.findall(r"""\b(?:src|href|srcset|action|poster)\s*=\s*["']([^"']*)""", html)
    assert references
    assert all(reference.startswith(("#", "data:")) for reference in references)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|https?://", html)
    assert "default-src 'none'" in html


def test_every_artifact_data_set_and_sample_appears(bundle: Path, document: dict[str, Any]) -> None:
    html = write_report(bundle).read_text(encoding="utf-8")
    for artifact in document["artifacts"]:
        assert f'<th scope="row">{artifact["id"]}</th>' in _section(html, "artifacts")
    for row in document["quality"]:
        assert row["dataset"] in _section(html, "quality")
    for label in ("degraded", "clean", "openvino-fp32", "executorch-int8"):
        assert f'alt="astronaut: {label}"' in _section(html, "pictures")
    for layer in document["layers"]:
        assert layer["layer"] in _section(html, "errors")


def test_head_tells_model_machine_and_date(bundle: Path) -> None:
    head = write_report(bundle).read_text(encoding="utf-8").split("<main>")[0]
    for text in ("elir_sr_x4", "K = 3", "Example CPU at 2.6 GHz, 2 cores", "2025-03-04 10:20 UTC"):
        assert text in head


def test_missed_goals_are_shown_with_value_and_bound(bundle: Path) -> None:
    html = write_report(bundle).read_text(encoding="utf-8")
    assert "✗ 3 of 33 goals MISSED: fidelity_db of executorch-int8 (39.4 dB, goal ≥ 39.5 dB)" in html
    missed = re.findall(r'<td class="missed">(.*?)</td>', _section(html, "goals"), re.DOTALL)
    assert len(missed) == 3 and all("39.4 dB" in cell for cell in missed)
    assert "≥ 39.5 dB on kodak" in _section(html, "goals")


def test_all_goals_met_is_said(bundle: Path, rewrite: Rewrite) -> None:
    def keep_met(results: dict[str, Any]) -> None:
        results["goals"] = [goal for goal in results["goals"] if goal["met"]]

    html = rewrite(bundle, keep_met)
    assert "✓ All 30 goals met" in html and "MISSED" not in html.split("<script>")[0]


def test_what_turns_words_around_or_is_no_text_is_written_out(bundle: Path, rewrite: Rewrite) -> None:
    def rename(results: dict[str, Any]) -> None:
        results["layers"][0]["layer"] = "dec\u202e\x1b[2J\u00a0a"

    html = rewrite(bundle, rename)
    assert "dec\\u202e\\x1b[2J\u00a0a" in html
    assert not [c for c in html if not c.isprintable() and c not in "\n\t\u00a0"]


def test_names_of_users_are_escaped_everywhere(bundle: Path, rewrite: Rewrite) -> None:
    bad = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"

    def rename(results: dict[str, Any]) -> None:
        results["name"] = results["task"] = results["machine"]["cpu"] = bad
        results["layers"][0]["layer"] = results["stages"][0]["stage"] = results["parity"][0]["against"] = bad
        results["samples"][0]["name"] = bad.replace("/", "")  # one part of a path
        results["performance"][2].update(evidence="unavailable", why=bad)
        for row in results["quality"] + results["baselines"] + results["goals"]:
            row["dataset"] = bad if row["dataset"] == "kodak" else row["dataset"]

    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["recipe"]["model"]["weights"] = manifest[bad] = manifest["recipe"][bad] = bad
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    html = rewrite(bundle, rename)
    assert "<script>alert" not in html and "<img src=x" not in html
    assert html.count("<script") == 1
    assert "&lt;script&gt;alert(" in html


def test_null_fields_read_as_not_measured(bundle: Path, rewrite: Rewrite) -> None:
    def empty(results: dict[str, Any]) -> None:
        results["quality"][2].update(lpips=None, lpips_rise=None, fidelity_db=None)
        results["stages"], results["layers"] = [], None

    html = rewrite(bundle, empty)
    row = next(row for row in _section(html, "artifacts").split("<tr>") if ">openvino-int8<" in row)
    assert row.count("not measured") == 3
    message = _section(html, "gaps")
    for text in (
        "LPIPS, LPIPS rise, fidelity on photos_validation",
        "error by stage",
        "error by layer",
        "a p90 needs 64 runs, there were 22",
        "the target was not available on this machine",
    ):
        assert text in message
    assert "null" not in html.split("<script>")[0] and ">None<" not in html and ">nan<" not in html


def test_results_without_evidence_still_make_a_page(bundle: Path) -> None:
    (bundle / "results.json").write_text('{"schema_version": 1, "name": "empty", "task": "sr_x4"}')
    (bundle / "manifest.json").unlink()
    html = write_report(bundle).read_text(encoding="utf-8")
    assert "No goals set" in html and html.count("Not measured") >= 6


def test_slider_is_a_labelled_range_and_every_control_has_a_label(bundle: Path) -> None:
    html = write_report(bundle).read_text(encoding="utf-8")
    assert '<input type="range" id="split"' in html and 'for="split"' in html
    for name in ("sample", "left", "right", "mode", "zoom"):
        assert re.search(rf'<label>\w+ <select id="{name}"', html)
    assert all("alt=" in image for image in re.findall(r"<img [^>]*>", html))
    assert html.count("<h1>") == 1 and "prefers-color-scheme: dark" in html and 'lang="en"' in html


def test_given_facts_win_over_the_file(bundle: Path) -> None:
    given = {"recipe": {"model": {"weights": "given_weights"}}, "artifacts": []}
    html = write_report(bundle, Facts.model_validate(given)).read_text(encoding="utf-8")
    assert "given_weights" in html and "elir_sr_x4" not in html.split("<main>")[0]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, InputError, "not a bundle, it has no results.json: give the folder that `compress apply` wrote"),
        ('{"schema', VerificationError, "damaged ("),
        ("[1]", VerificationError, "not results of schema_version 1: write the bundle again"),
        ('{"schema_version": 9}', VerificationError, "not results of schema_version 1: write the bundle again"),
    ],
)
def test_damaged_results_are_refused_in_one_line(bundle: Path, text: str | None, error: type, message: str) -> None:
    (bundle / "results.json").unlink()
    (bundle / "manifest.json").unlink()
    if text is not None:
        (bundle / "results.json").write_text(text)
    with pytest.raises(error) as raised:
        write_report(bundle)
    assert message in str(raised.value) and "\n" not in str(raised.value)
    assert not (bundle / "report.html").exists()


def test_results_that_are_not_the_manifest_s_are_refused(bundle: Path) -> None:
    path = bundle / "results.json"
    path.write_text(path.read_text().replace('"psnr_db": 26', '"psnr_db": 27'))
    with pytest.raises(VerificationError, match=r"results\.json: differs from its hash in the manifest: do not use it"):
        write_report(bundle)


def test_import_needs_no_torch() -> None:
    code = "import sys, compress.report; print([m for m in ('torch', 'numpy', 'PIL', 'jinja2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_set_without_true_pictures_shows_what_was_measured(bundle: Path, rewrite: Rewrite) -> None:
    def blind(results: dict[str, Any]) -> None:
        for row in results["quality"] + results["baselines"]:
            row.update(dict.fromkeys(("psnr_db", "psnr_y_db", "ssim", "lpips", "color_shift")), niqe=4.25)
            row.update(note="no true pictures: x")
        for sample in results["samples"]:
            sample["clean"] = None

    html = rewrite(bundle, blind)
    table = _section(html, "quality")
    assert "NIQE" in table and "4.25" in table and "LPIPS rise" not in table
    assert "no true pictures: x" in html and "astronaut: clean" not in html


# What lies where, in a real browser: nothing on anything else, nothing cut.
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


@pytest.mark.parametrize("width", [390, 1280])
def test_handle_and_divider_agree(bundle: Path, browser: Callable[..., Any], width: int) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    page = write_report(bundle)
    with browser(width, 900) as driver:
        driver.get(page.as_uri())
        WebDriverWait(driver, 30).until(lambda d: d.find_element("id", "measure").text)
        driver.execute_script("document.getElementById('split').scrollIntoView({block: 'center', behavior: 'instant'})")
        for share in (0.0, 0.3, 0.95):
            x, y = driver.execute_script(
                "const pane = document.querySelector('.pane').getBoundingClientRect(),"
                " rail = document.getElementById('split').getBoundingClientRect();"
                "return [pane.left + arguments[0] * pane.width, rail.top + rail.height / 2]", share
            )  # fmt: skip
            pointer = ActionChains(driver)
            pointer.w3c_actions.pointer_action.move_to_location(round(x), round(y))
            pointer.w3c_actions.pointer_action.click()
            pointer.perform()
            line = driver.find_element("id", "divider").rect
            # The slider has steps of 1 %.
            assert line["x"] + line["width"] / 2 == pytest.approx(x, abs=1 + 0.005 * min(640, width))


@pytest.mark.parametrize(
    ("row", "goal"),
    [
        (Parity(artifact="onnx-fp32", psnr_db=91.3, goal=60.0), "≥ 60.0 dB"),
        (Parity(artifact="onnx-fp16", psnr_db=70.0), ""),
        (
            Parity(
                artifact="onnx-int8", psnr_db=44.0, goal=1.0, fidelity_artifact_db=44.31, fidelity_simulated_db=45.07
            ),
            "44.3 dB to fp32, ≥ 45.1 dB (in torch) - 1 dB",
        ),
    ],
)
def test_a_parity_goal_stands_beside_the_figure_that_it_is_for(row: Parity, goal: str) -> None:
    """An int8 file's "44 dB, goal >= 1 dB" read as one that cannot be missed."""
    (cells,) = parity(Results(schema_version=1, parity=[row])).rows
    assert cells[4].text == goal
