"""Make the pictures of README and docs from a bundle of this version.

    python docs/make_pictures.py runs/int8_sr

Needs `pip install '.[dev]'`, Chromium with its driver (Debian: apt-get install chromium chromium-driver), the web
runtime that `compress demo` fetches with npm, and a bundle of the recipe int8_sr in a folder of that name. Takes a
minute or two. Pictures that need minutes to hours of computing are made only when they are named:
--only tasks crops degradations sensitivity search.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import make_crops_sheet
import make_degradations_sheet
import make_tasks_sheet
from PIL import Image, ImageDraw, ImageFont

from compress.bundle.open import Bundle, open_bundle
from compress.cli.commands import app
from compress.data.pictures import open_rgb, read_rgb
from compress.ledger import Filter
from compress.ledger.report import report
from compress.progress import Progress
from compress.restore.demo import demo
from compress.results.sample import Sample

IMAGES = Path(__file__).parent / "images"
DESKTOP, PHONE = (1280, 720), (390, 844)
SHOWN = ("dragonfly_2", "nuthatch_1")
LABEL, GAP = 20, 2


CHOOSE = """
const which = document.getElementById("which");
which.value = [...which.options].find((option) => option.text.startsWith(arguments[0])).value;
which.dispatchEvent(new Event("change"));
"""
"""Opens an artifact of the page."""


@contextmanager
def browser(size: tuple[int, int], *, dark: bool = False) -> Iterator[Any]:
    """Selenium's driver of a headless Chromium whose page has ``size`` px."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        width, height = size
        view = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


def shot(driver: Any, name: str, height: int = 0, element: str = "") -> None:
    """Save the page's first ``height`` px, or one element of it, as docs/images/``name``."""
    import base64
    import io

    box = "const b = document.querySelector(arguments[0]).getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
    x, y, width, tall = driver.execute_script(box, element or "html")
    clip = {"x": x, "y": y + driver.execute_script("return scrollY"), "width": width, "scale": 1}
    clip["height"] = min(tall, height) if height else tall
    asked = {"format": "png", "clip": clip, "captureBeyondViewport": True}
    data = base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", asked)["data"])
    picture = Image.fromarray(read_rgb(io.BytesIO(data), name))
    if name.endswith(".png"):
        picture.quantize(128).save(IMAGES / name, optimize=True)
    else:
        picture.save(IMAGES / name, quality=88, method=6)


def before_after(bundle: Bundle) -> None:
    """Two samples in a row each: enlarged, fp32, int8, truth."""
    samples = {sample.name: sample for sample in bundle.samples()}
    rows = [_columns(samples[name]) for name in SHOWN]
    side = open_rgb(bundle.folder / next(iter(rows[0].values()))).width
    sheet = Image.new("RGB", (4 * (side + GAP) - GAP, LABEL + 2 * (side + GAP) - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for row, columns in enumerate(rows):
        for column, (label, file) in enumerate(columns.items()):
            left = column * (side + GAP)
            sheet.paste(open_rgb(bundle.folder / file), (left, LABEL + row * (side + GAP)))
            if row == 0:
                draw.text((left + 2, 2), label, fill="black", font=ImageFont.load_default(13))
    sheet.save(IMAGES / "before_after.webp", quality=90, method=6)


def _columns(sample: Sample) -> dict[str, str]:
    assert sample.clean is not None  # photographs have their truth
    return {
        "enlarged (bicubic)": sample.degraded,
        "fp32": sample.outputs["openvino-fp32"],
        "int8 (OpenVINO)": sample.outputs["openvino-int8"],
        "truth": sample.clean,
    }


def report_first(bundle: Bundle) -> None:
    """The first screen of a bundle's report."""
    with browser(DESKTOP) as driver:
        driver.get((bundle.folder / "report.html").absolute().as_uri())
        shot(driver, "report_first.webp", DESKTOP[1])


def tradeoff(bundle: Bundle) -> None:
    """The plots of a bundle's report."""
    with browser(DESKTOP) as driver:
        driver.get((bundle.folder / "report.html").absolute().as_uri())
        shot(driver, "tradeoff.png", element="#trade-off")


def report_of_bundles(bundle: Bundle) -> None:
    """What `compress report` makes of the bundle: on a desk, dark, on a phone, and one artifact."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        report([bundle.folder], Filter(), 50, page)
        for name, size, height, dark in (
            ("report_desktop.webp", DESKTOP, 1500, False),
            ("report_dark.webp", DESKTOP, 1250, True),
            ("report_phone.webp", PHONE, 1500, False),
        ):
            with browser(size, dark=dark) as driver:
                driver.get(page.as_uri())
                shot(driver, name, height)
        with browser(DESKTOP) as driver:
            driver.get(page.as_uri())
            driver.execute_script(CHOOSE, "onnx-int8")
            shot(driver, "report_artifact.webp", 2500, "#artifact")


def demo_on_a_phone(bundle: Bundle) -> None:
    """The demo's page, dark, with its sample picture restored."""
    from selenium.webdriver.support.ui import WebDriverWait

    with browser(PHONE, dark=True) as driver, demo(bundle.folder, None, 0, Progress("silent")) as pages:
        driver.get(pages.url)
        wait = WebDriverWait(driver, 120)
        wait.until(lambda _: driver.find_element("id", "sample").is_displayed())
        driver.find_element("id", "sample").click()
        wait.until(lambda _: driver.find_element("id", "status").text.startswith("Restored"))
        driver.execute_script("scrollTo(0, 0)")
        shot(driver, "demo.webp", PHONE[1])


def _command(*words: str) -> Callable[[Bundle], None]:
    return lambda bundle: app([*words], standalone_mode=False)


QUICK: dict[str, Callable[[Bundle], None]] = {
    "before_after": before_after,
    "report_first": report_first,
    "tradeoff": tradeoff,
    "report": report_of_bundles,
    "demo": demo_on_a_phone,
}
SLOW: dict[str, Callable[[Bundle], None]] = {
    "tasks": lambda bundle: make_tasks_sheet.main(),
    "crops": lambda bundle: make_crops_sheet.main(make_crops_sheet.MODELS),
    "degradations": lambda bundle: make_degradations_sheet.main(),
    "sensitivity": _command("sensitivity", "int8_sr", "--plot", str(IMAGES / "sensitivity.svg")),
    "search": _command("search", "mixed_sr", "--plot", str(IMAGES / "search.svg")),
}


def main(words: Sequence[str] | None = None) -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="bundle of int8_sr that this version wrote")
    parser.add_argument("--only", nargs="+", choices=[*QUICK, *SLOW], default=list(QUICK), help="make these alone")
    given = parser.parse_args(words)
    bundle = open_bundle(given.bundle)
    for name in given.only:
        {**QUICK, **SLOW}[name](bundle)
        print(name)


if __name__ == "__main__":
    main()
