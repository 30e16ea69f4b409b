"""The demo's page in a real headless Chromium: what it restores is what the runtime restores here."""

import base64
import io
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from compress.bundle.manifest import write_manifest
from compress.cli.commands import app
from compress.elir.noise import noise_field
from compress.elir.restore import enlarge
from compress.measure.quality import psnr_db
from compress.progress import Progress
from compress.restore.demo import demo, noise
from compress.restore.open import Settings, open_restorer

PIXELS = """
const canvas = document.getElementById(arguments[0]);
const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
let text = "";
for (const byte of all) text += String.fromCharCode(byte);
return [canvas.height, canvas.width, btoa(text)];
"""
DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
"""


@pytest.fixture()
def small(photo: np.ndarray) -> np.ndarray:
    """(25, 37, 3): neither side fits the tiles."""
    return photo[40:65, 90:127]


@contextmanager
def opened(driver: Any, bundle: Path, artifact: str | None) -> Iterator[None]:
    with demo(bundle, artifact, 0, Progress("silent")) as pages:
        driver.get(pages.url)
        until(driver, lambda: driver.find_element("id", "file").is_enabled())
        yield


def until(driver: Any, done: Callable[[], object]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 120).until(lambda _: done())


def status(driver: Any) -> str:
    return str(driver.find_element("id", "status").text)


def canvas(driver: Any, id: str) -> np.ndarray:
    height, width, text = driver.execute_script(PIXELS, id)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[..., :3]


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@pytest.mark.usefixtures("web_runtime")
def test_a_dropped_picture_is_restored_as_the_runtime_restores_it(
    finished: Any, small: np.ndarray, chromium: Callable[..., Any]
) -> None:
    entry = {name: finished.folder / f"{name}/onnx/model.onnx" for name in ("fp32", "int8")}
    wanted = {name: open_restorer(str(path), Settings()).restore(small, lambda: None) for name, path in entry.items()}
    with chromium() as driver:
        for name in wanted:
            with opened(driver, finished.folder, f"onnx-{name}"):
                driver.execute_script(DROP, base64.b64encode(png(small)).decode())
                until(driver, lambda: status(driver).startswith("Restored: 148 x 100 px in "))
                assert (canvas(driver, "before") == enlarge(small, 4)).all()
                found = canvas(driver, "after")
                if name == "fp32":
                    assert np.abs(found.astype(int) - wanted[name]).max() <= 1
                # One rounding in 8 bits that falls to the other side moves all that follows.
                assert psnr_db(found, wanted[name]) > (60 if name == "fp32" else 35)
                assert psnr_db(found, wanted[name]) > psnr_db(found, canvas(driver, "before")) + 5
        # Chromium's advice on how often this test itself reads the canvas is no error.
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.usefixtures("web_runtime")
def test_by_keyboard_on_a_phone_and_what_is_no_picture(
    finished: Any, small: np.ndarray, chromium: Callable[..., Any], tmp_path: Path
) -> None:
    from selenium.webdriver.common.keys import Keys

    (tmp_path / "notes.txt").write_text("no picture")
    Image.fromarray(small).save(tmp_path / "small.png")
    with chromium(390, 844, True) as driver, opened(driver, finished.folder, None):
        assert "onnx-int8" in driver.find_element("id", "about").text
        file = driver.find_element("id", "file")
        file.send_keys(str(tmp_path / "notes.txt"))
        until(driver, lambda: status(driver).startswith("notes.txt: no picture that this browser reads"))
        file.send_keys(str(tmp_path / "small.png"))
        until(driver, lambda: status(driver).startswith("Restored"))
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
        divider = driver.find_element("id", "divider")
        clip = "return getComputedStyle(document.getElementById('after')).clipPath"
        before = driver.execute_script(clip)
        divider.send_keys(Keys.ARROW_RIGHT)
        assert divider.get_attribute("aria-valuetext") == "51 % before" and driver.execute_script(clip) != before
        save = driver.find_element("id", "save")
        assert save.get_attribute("download") == "small_restored.png" and save.get_attribute("href").startswith("blob:")


@pytest.mark.usefixtures("web_runtime")
def test_it_serves_this_machine_only_and_nothing_else(finished: Any) -> None:
    with demo(finished.folder, None, 0, Progress("silent")) as pages:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[0-9a-f]{16}/", pages.url)
        field = urllib.request.urlopen(f"{pages.url}noise.bin?height=32&width=64").read()
        assert field == noise_field(32, 64, 0).tobytes()
        root = pages.url.rsplit("/", 2)[0]
        for url, host in (
            (f"{root}/", None),
            (f"{root}/{'0' * 16}/facts.json", None),
            (f"{pages.url}../../etc/passwd", None),
            (f"{pages.url}facts.json", "evil.example"),
        ):
            request = urllib.request.Request(url, headers={"Host": host} if host else {})
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(request)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(f"{pages.url}noise.bin?height=100000&width=100000")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"height": "x", "width": "1"},
        {"height": "-8", "width": "8"},
        {"height": "-8", "width": "-8"},
        {"height": "0", "width": "0"},
    ],
)
def test_no_noise_for_nonsense(query: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        noise(query)


def test_mistakes_are_one_line(finished: Any, tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_bytes(b"")
    facts = {"artifacts": [{"id": "openvino-int8", "format": "openvino", "precision": "int8", "entry": "model.xml"}]}
    write_manifest(tmp_path, facts, ["model.xml"])
    for args, text in (
        ([str(tmp_path / "none")], f"{tmp_path / 'none'}: not a bundle"),
        ([str(tmp_path)], f"{tmp_path}: holds no ONNX artifact, which a browser runs"),
        ([str(finished.folder), "--artifact", "onnx"], f"{finished.folder}: has no ONNX artifact onnx: give one of"),
    ):
        done = CliRunner().invoke(app, ["demo", *args])
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(text)


@pytest.mark.usefixtures("web_runtime")
def test_the_command_tells_its_address_and_ends_on_interruption(finished: Any) -> None:
    started = subprocess.Popen(
        [sys.executable, "-u", "-m", "compress", "demo", str(finished.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout
        url = started.stdout.readline().strip()
        assert b"<title>compress demo</title>" in urllib.request.urlopen(url).read()
    finally:
        started.terminate()
    assert started.wait(30) == 143
