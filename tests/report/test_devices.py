"""The page of several bundles, in a real browser and from its text."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from compress.cli.commands import app
from compress.errors import InputError
from compress.ledger import Filter, open_ledger
from compress.ledger.pareto import pareto
from compress.ledger.record import bundle_measurements
from compress.ledger.report import report
from compress.report.devices import Source, page_data
from compress.results.file import read_results
from compress.results.parity import LayerError, StageError
from compress.results.performance import Performance

Make = Callable[..., Path]
BAD = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.sqlite'}")


@pytest.fixture()
def page(tmp_path: Path, measured: Make) -> Path:
    """Two bundles' page, both in the ledger too."""
    bundles = [measured(tmp_path / "a"), measured(tmp_path / "b", "newer", "2026-11-22T10:00:00+00:00")]
    open_ledger().append(row for bundle in bundles for row in bundle_measurements(bundle))
    report(bundles, Filter(), 50, tmp_path / "page.html")
    return tmp_path / "page.html"


def held(page: Path) -> dict[str, Any]:
    """The page's own JSON."""
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    return json.loads(match[1])


def with_whole_pictures(page: Path, artifact: int, figures: dict[str, float]) -> None:
    """Give an artifact's rows in the page's JSON what `bench --throughput` measures."""
    data, text = held(page), page.read_text("utf-8")
    for row in data["rows"]:
        if row["artifact"] == artifact:
            assert {row[name] for name in figures} == {None}
            row |= figures
    before, rest = text.split('id="data">', 1)
    page.write_text(f'{before}id="data">{json.dumps(data)}</script>{rest.split("</script>", 1)[1]}', "utf-8")


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, args)])


def choose(driver: Any, id: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", id)).select_by_value(value)


def opened(driver: Any, page: Path, mark: str = "") -> None:
    driver.get(f"{page.as_uri()}{mark}")
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 30).until(lambda d: d.find_element("id", "measure").text)


def quiet(driver: Any) -> None:
    assert driver.get_log("browser") == []


def test_points_match_the_json_and_the_ledgers_frontier(page: Path, browser: Callable[..., Any]) -> None:
    data = held(page)
    rows = {row["id"]: row for row in data["rows"]}
    with browser() as driver:
        opened(driver, page)
        for x, y in (("latency_p50_ms", "psnr_db"), ("bytes", "lpips")):
            choose(driver, "dataset", "set14")
            choose(driver, "x", x)
            choose(driver, "y", y)
            plots = driver.execute_script(PLACES)
            known = {i for i, r in rows.items() if r["dataset"] == "set14" and None not in (r[x], r[y])}
            assert {point["row"] for plot in plots for point in plot["points"]} == known
            for plot in plots:
                assert_linear(plot["points"], {i: rows[i][x] for i in rows}, "cx", plot["x"])
                assert_linear(plot["points"], {i: rows[i][y] for i in rows}, "cy", plot["y"])
            best = {point["row"] for plot in plots for point in plot["points"] if point["best"]}
            frontiers = pareto(open_ledger(), x, y, Filter(dataset="set14")).frontiers
            assert best == {row.id for match in frontiers for row in match.points}
        quiet(driver)


PLACES = r"""
const ticks = (svg, anchor, side, shift) => [...svg.querySelectorAll(`.grid text[text-anchor=${anchor}]`)]
  .filter((text) => text.textContent.match(/^[\d.]+$/))
  .map((text) => [Number(text.getAttribute(side)) - shift, Number(text.textContent)]);
return [...document.querySelectorAll("#plots svg")].map((svg) => ({
  x: ticks(svg, "middle", "x", 0), y: ticks(svg, "end", "y", 4),
  points: [...svg.querySelectorAll(".point")].map((point) => {
    const box = point.getBBox();
    return { row: point.dataset.row, best: point.classList.contains("best"), cx: box.x + box.width / 2,
      cy: point.querySelector("path") ? Number(point.dataset.cy) : box.y + box.height / 2 };
  }),
}));
"""


def assert_linear(points: list[dict[str, Any]], values: dict[str, float], name: str, ticks: list[list[float]]) -> None:
    """Where a point is drawn, read off the axis' own ticks, is its figure."""
    (place, low), (end, high) = ticks[0], ticks[-1]
    scale = 1e6 if max(values[p["row"]] for p in points) > 1e5 else 1
    for point in points:
        read = low + (point[name] - place) / (end - place) * (high - low)
        assert read == pytest.approx(values[point["row"]] / scale, abs=abs(high - low) * 2e-3)


def test_point_opens_its_artifact_by_mouse_and_keyboard(page: Path, browser: Callable[..., Any]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    data = held(page)
    with browser() as driver:
        opened(driver, page)
        point = driver.find_elements("css selector", "#plots .point.int8.best")[0]
        wanted = next(row for row in data["rows"] if row["id"] == point.get_attribute("data-row"))
        driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", point)
        tip, tip_away = driver.find_element("id", "tip"), driver.find_element("css selector", "#plots h3")

        def hovered(_: Any) -> str:
            # Away first: a late scroll of the page hides the tip.
            ActionChains(driver).move_to_element(tip_away).move_to_element(point).perform()
            return tip.text

        assert WebDriverWait(driver, 20).until(hovered) == point.get_attribute("aria-label")
        point.click()
        artifact = data["artifacts"][wanted["artifact"]]
        assert driver.current_url.endswith(f"#artifact-{artifact['file'][:12]}")
        assert driver.find_element("id", "which").get_attribute("value") == str(wanted["artifact"])
        first = driver.find_element("css selector", "#plots .point[tabindex='0']")
        first.send_keys(Keys.ARROW_RIGHT)
        active = driver.switch_to.active_element
        assert active.get_attribute("class").startswith("point") and active != first
        active.send_keys(Keys.ENTER)
        row = next(row for row in data["rows"] if row["id"] == active.get_attribute("data-row"))
        assert driver.find_element("id", "which").get_attribute("value") == str(row["artifact"])
        assert driver.switch_to.active_element.get_attribute("id") == "artifact-heading"
        quiet(driver)


def test_table_sorts_and_filters_by_keyboard(page: Path, browser: Callable[..., Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    def column(index: int) -> list[str]:
        shown = driver.find_elements("css selector", "#rows tbody tr:not([hidden])")
        return [row.find_elements("css selector", "th,td")[index].get_attribute("data-value") for row in shown]

    with browser(1280, 4000) as driver:
        opened(driver, page)
        heading = driver.find_elements("css selector", "#rows thead button")[3]
        heading.send_keys(Keys.ENTER)
        up = column(3)
        known = [float(text) for text in up if text]
        assert known == sorted(known) and not any(up[len(known) :]) and len(known) < len(up)
        heading.send_keys(Keys.SPACE)
        down = column(3)
        assert [float(text) for text in down if text] == known[::-1] and not any(down[len(known) :])
        cell = driver.find_elements("css selector", "#rows thead th")[3]
        assert cell.get_attribute("aria-sort") == "descending"
        driver.find_element("id", "words").send_keys("int8 newer")
        names = [e.text for e in driver.find_elements("css selector", "#rows tbody tr:not([hidden]) th")]
        assert names and all("int8" in name and "newer" in name for name in names)
        assert driver.find_element("id", "count").text == f"{len(names)} of {len(held(page)['rows'])} rows"
        driver.find_element("id", "only").send_keys(Keys.SPACE)
        marks = [e.text for e in driver.find_elements("css selector", "#rows tbody tr:not([hidden]) td.met")]
        assert marks and set(marks) == {"✓ frontier"}
        quiet(driver)


def test_slider_moves_and_pictures_are_exact(page: Path, browser: Callable[..., Any], tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image
    from selenium.webdriver.common.keys import Keys

    data = held(page)
    index = next(i for i, a in enumerate(data["artifacts"]) if a["id"] == "onnx-int8" and a["recipe"] == "int8_sr")
    mark = f"#artifact-{data['artifacts'][index]['file'][:12]}"
    with browser(1280, 4000) as driver:
        opened(driver, page, mark)
        split = driver.find_element("id", "split")
        before = driver.execute_script("return document.getElementById('canvas').toDataURL()")
        for _ in range(40):
            split.send_keys(Keys.ARROW_LEFT)
        assert split.get_attribute("value") == "10"
        assert driver.find_element("id", "divider").get_attribute("style") == "left: 10%;"
        assert driver.execute_script("return document.getElementById('canvas').toDataURL()") != before
        driver.execute_script("arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input'))", split)
        drawn = np.array(driver.execute_script(PIXELS), np.uint8).reshape(64, 64, 4)[..., :3]
        sample = driver.find_element("css selector", "#sample option:checked").text
        assert np.array_equal(drawn, np.asarray(Image.open(tmp_path / f"a/samples/{sample}_onnx-int8.png")))
        choose(driver, "mode", "8")
        gap = np.array(driver.execute_script(PIXELS), np.int64).reshape(64, 64, 4)[..., :3]
        degraded = np.asarray(Image.open(tmp_path / f"a/samples/{sample}_degraded.png")).astype(int)
        assert np.array_equal(gap, np.minimum(255, 8 * abs(drawn.astype(int) - degraded)))
        choose(driver, "zoom", "4")
        wide, pane = driver.execute_script(
            "return [document.getElementById('canvas'), document.querySelector('.pane')].map((e) => e.clientWidth)"
        )
        assert wide == pytest.approx(4 * pane, abs=8)
        quiet(driver)


PIXELS = """
const canvas = document.getElementById("canvas");
return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
"""


def test_detail_tells_errors_shares_and_gaps(page: Path, browser: Callable[..., Any]) -> None:
    data = held(page)
    index = next(i for i, a in enumerate(data["artifacts"]) if a["id"] == "onnx-int8")
    timed = {"picture_megapixels": 12.0, "picture_megapixels_per_s": 0.4671, "picture_peak_rss_mb": 301.2}
    with_whole_pictures(page, index, {**timed, "clip_megapixels_per_s": 0.4402, "clip_peak_rss_mb": 288.9})
    with browser() as driver:
        opened(driver, page, f"#artifact-{data['artifacts'][index]['file'][:12]}")
        message = " ".join(driver.find_element("id", "detail").text.split())
        for text in ("step_2", "teacher-forced", "6.00 MB 67 %", "30.5 ms 74 %", "a p90 needs 64 runs, there were 22"):
            assert text in message
        # No energy: this machine did not tell it.
        assert "picture of 12.0 MP 0.467 301 –not measured 0.440 289 –not measured" in message.replace("– not", "–not")
        choose(driver, "which", str(next(i for i, a in enumerate(data["artifacts"]) if a["precision"] == "fp32")))
        message = driver.find_element("id", "detail").text
        assert "fp32 is the reference" in message and "Picture, MP/s" not in message
        quiet(driver)


UNNAMED = """
const every = document.querySelectorAll("select, input, button, [role=button], [role=region], svg");
return [...every].filter((e) => !(e.labels?.length || e.textContent.trim() || e.getAttribute("aria-label"))).length;
"""


@pytest.mark.parametrize("dark", [False, True])
def test_phone_shows_everything_within_its_width(page: Path, browser: Callable[..., Any], dark: bool) -> None:
    with browser(375, 800, dark) as driver:
        opened(driver, page)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 375
        back = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert back == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
        assert driver.execute_script(UNNAMED) == 0
        quiet(driver)


def test_what_turns_words_around_or_is_no_text_is_written_out(
    tmp_path: Path, measured: Make, relist: Callable[[Path], None]
) -> None:
    bundle = measured(tmp_path / "a", "name")
    results = json.loads((bundle / "results.json").read_text())
    results["layers"][0]["layer"], results["versions"]["torch\x07"] = "dec\u202e\x1b[2J", "\x7f"
    (bundle / "results.json").write_text(json.dumps(results))
    relist(bundle)
    assert run(bundle, "-o", tmp_path / "page.html").exit_code == 0
    text = json.dumps(held(tmp_path / "page.html"), ensure_ascii=False)
    assert "dec\\\\u202e\\\\x1b[2J" in text and text.isprintable()


def test_names_of_users_stay_text(
    tmp_path: Path, measured: Make, relist: Callable[[Path], None], browser: Callable[..., Any]
) -> None:
    bundle = measured(tmp_path / "a", BAD)
    results = json.loads((bundle / "results.json").read_text())
    results["samples"][0]["name"] = BAD.replace("/", "")  # one part of a path
    results["stages"][0]["stage"] = results["layers"][0]["layer"] = BAD
    results["machine"]["cpu"] = results["versions"]["torch"] = results["shares"][0]["stage"] = BAD
    (bundle / "results.json").write_text(json.dumps(results))
    relist(bundle)
    assert run(bundle, "-o", tmp_path / "page.html").exit_code == 0
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html and "<img src=x" not in html and html.count("<script") == 2
    with browser() as driver:
        opened(driver, tmp_path / "page.html")
        assert BAD in driver.find_element("id", "detail").text
        assert driver.execute_script("return document.querySelectorAll('img, script').length") == 2
        quiet(driver)


def test_page_loads_nothing_from_outside(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    head = html.split('id="data">')[0]
    assert "default-src 'none'" in head and not re.search(r"@import|url\(|https?://", head)
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|import\(", html.rsplit("<script>", 1)[1])


def test_ledgers_rows_are_shown_with_what_is_missing(page: Path, tmp_path: Path) -> None:
    (tmp_path / "b" / "manifest.json").unlink()
    done = run("-o", tmp_path / "out.html", "--dataset", "set14")
    assert done.exit_code == 0
    assert re.search(r"out\.html: 18 artifacts, 1 device, 1 bundle, .* MB; bundles of 9 artifacts are not", done.stdout)
    data = held(tmp_path / "out.html")
    assert {row["dataset"] for row in data["rows"]} == {"set14"}
    assert any(gap["why"] == "the machine that wrote this page does not have its bundle" for gap in data["gaps"])
    assert run("-o", tmp_path / "few.html", "--limit", 3).stdout.startswith(f"{tmp_path / 'few.html'}: 3 artifacts")


def test_fifty_artifacts_stay_under_6_mb(tmp_path: Path, measured: Make) -> None:
    bundles = [measured(tmp_path / str(i), f"r{i}", side=256) for i in range(5)]
    done = run(*bundles, "-o", tmp_path / "page.html")
    assert done.stdout.startswith(f"{tmp_path / 'page.html'}: 50 artifacts")
    assert (tmp_path / "page.html").stat().st_size < 6_000_000
    data = held(tmp_path / "page.html")
    assert data["samples"] and data["lossless"]


def test_a_page_of_a_thousand_artifacts_is_made_in_linear_time(tmp_path: Path, measured: Make) -> None:
    """A stranger's results may hold as many lines as he likes."""
    folder = measured(tmp_path / "a")
    first, results = bundle_measurements(folder)[0].row(), read_results(folder)
    rows = [
        first.model_copy(update={"artifact": f"onnx-int8-v{i}", "files_sha256": f"{i:064x}", "cpu": f"cpu {i}"})
        for i in range(1000)
    ]
    told = [Performance(artifact="onnx-int8-v7", target=f"t{i}") for i in range(4000)]
    source = Source(lambda name: (folder / name).read_bytes(), results.model_copy(update={"performance": told}))
    folders = dict.fromkeys((row.files_sha256 for row in rows), "a")
    began = process_time()
    data = page_data(rows, folders, {"a": source})
    assert process_time() - began < 5, "each artifact read every line"
    assert [row["group"] for row in data["rows"]] == [row["artifact"] for row in data["rows"]] == [*range(1000)]
    about = [len(artifact["gaps"]) for artifact in data["artifacts"]]
    assert about[7] > 4000 and max(about[:7] + about[8:]) < 100
    layers = [LayerError(layer=f"l{i}") for i in range(2000)]
    stages = [StageError(precision=first.precision, stage="x")]
    many = Source(source.read, results.model_copy(update={"layers": layers, "stages": stages}))
    with pytest.raises(
        InputError, match=r"report: 200\d{4} lines of stages and layers, a page holds 1000000: give fewer"
    ):
        page_data(rows, folders, {"a": many})


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "report: the ledger has no such rows: see `compress ledger ls`, or give bundles"),
        (("x", "--target", "t"), "report: bundles and a filter of the ledger: give one of the two"),
        (("nowhere",), "nowhere: not a bundle, it has no manifest.json: give the folder that `compress apply` wrote"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    done = run(*args, "-o", tmp_path / "page.html")
    assert done.exit_code == 2 and message in done.stderr.replace("\n", " ")
    assert not (tmp_path / "page.html").exists()
