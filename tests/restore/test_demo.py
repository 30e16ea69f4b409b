"""The demo's page in a real headless Chromium: what it restores is what the runtime restores here."""

import base64
import io
import json
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

from compress.artifacts.export.shared_weights import share_weights
from compress.bundle.manifest import write_manifest
from compress.bundle.open import open_bundle
from compress.cli.commands import app
from compress.elir.noise import noise_field
from compress.elir.restore import enlarge
from compress.errors import VerificationError
from compress.measure.quality import psnr_db
from compress.progress import Progress
from compress.restore.demo import LARGEST, demo, noise, sample_picture
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


@pytest.mark.parametrize("form", ["finished", "picture_bundle", "seed_bundle"])
@pytest.mark.usefixtures("web_runtime")
def test_a_dropped_picture_is_restored_as_the_runtime_restores_it(
    form: str, request: pytest.FixtureRequest, small: np.ndarray, chromium: Callable[..., Any]
) -> None:
    given = request.getfixturevalue(form)
    folder = given.folder if form == "finished" else given
    entry = {path.parts[-3]: path for path in folder.glob("*/onnx/model.onnx")}
    wanted = {name: open_restorer(str(path), Settings()).restore(small, lambda: None) for name, path in entry.items()}
    with chromium() as driver:
        for name in wanted:
            with opened(driver, folder, f"onnx-{name}"):
                driver.execute_script(DROP, base64.b64encode(png(small)).decode())
                until(driver, lambda: status(driver).startswith("Restored: 148 x 100 px in "))
                assert (canvas(driver, "before") == enlarge(small, 4)).all()
                result = canvas(driver, "after")
                if name == "fp32":
                    assert np.abs(result.astype(int) - wanted[name]).max() <= 1
                # One rounding in 8 bits that falls to the other side moves all that follows.
                assert psnr_db(result, wanted[name]) > (60 if name == "fp32" else 35)
                assert psnr_db(result, wanted[name]) > psnr_db(result, canvas(driver, "before")) + 5
        # Chromium's advice on how often this test itself reads the canvas is not an error.
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.usefixtures("web_runtime")
def test_weights_in_a_file_of_their_own(bundle: Path, small: np.ndarray, chromium: Callable[..., Any]) -> None:
    entry = bundle / "int8/onnx/model.onnx"
    wanted = open_restorer(str(entry), Settings()).restore(small, lambda: None)
    share_weights([entry], "onnx")
    manifest = json.loads((bundle / "manifest.json").read_text())
    files = [file["path"] for file in manifest.pop("files")]
    write_manifest(bundle, manifest, [*files, "int8/onnx/model.data"])
    with chromium() as driver, opened(driver, bundle, "onnx-int8"):
        driver.execute_script(DROP, base64.b64encode(png(small)).decode())
        until(driver, lambda: status(driver).startswith("Restored"))
        assert psnr_db(canvas(driver, "after"), wanted) > 35


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


TWICE = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
for (const name of ["first.png", "second.png"]) {
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}
"""


@pytest.mark.usefixtures("web_runtime")
def test_a_picture_while_another_is_restored_is_refused_aloud(
    finished: Any, small: np.ndarray, chromium: Callable[..., Any]
) -> None:
    with chromium() as driver, opened(driver, finished.folder, None):
        driver.execute_script(TWICE, base64.b64encode(png(small)).decode())
        notice = driver.find_element("id", "notice")
        message = "second.png was not taken: first.png is being restored. Give it again when that is done."
        assert notice.text == message and notice.is_displayed() and notice.aria_role == "alert"
        until(driver, lambda: status(driver).startswith("Restored"))
        assert driver.find_element("id", "save").get_attribute("download") == "first_restored.png"
        assert notice.text == message, "it stays until the next picture"
        driver.execute_script(DROP, base64.b64encode(png(small)).decode())
        until(driver, lambda: driver.find_element("id", "save").get_attribute("download") == "dropped_restored.png")
        assert notice.text == ""


MIDDLES = """
const [line, rail, frame] = ["line", "rail", "frame"].map((id) => document.getElementById(id).getBoundingClientRect());
const share = Number(document.getElementById("divider").value) / 100;
return { line: line.left + line.width / 2, handle: rail.left + share * rail.width, left: rail.left, right: rail.right,
  top: rail.top + rail.height / 2, frame: [frame.left, frame.left + document.getElementById("frame").clientWidth] };
"""


@pytest.mark.usefixtures("web_runtime")
@pytest.mark.parametrize("width", [390, 1280])
def test_handle_and_divider_agree(finished: Any, photo: np.ndarray, chromium: Callable[..., Any], width: int) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    with chromium(width, 900) as driver, opened(driver, finished.folder, None):
        driver.execute_script(DROP, base64.b64encode(png(photo[:32, :160])).decode())
        until(driver, lambda: status(driver).startswith("Restored"))
        for actual in (False, True):
            if actual:
                driver.find_element("id", "actual").click()
                driver.execute_script("document.getElementById('frame').scrollLeft = 60")
                driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
            driver.execute_script("document.getElementById('rail').scrollIntoView({block: 'center'})")
            place = driver.execute_script(MIDDLES)
            assert [place["left"], place["right"]] == pytest.approx(place["frame"], abs=1)
            for share in (0.02, 0.5, 0.9):
                # Where the pointer presses the rail, the browser puts the handle's middle.
                x = place["left"] + share * (place["right"] - place["left"])
                pointer = ActionChains(driver)
                pointer.w3c_actions.pointer_action.move_to_location(round(x), round(place["top"]))
                pointer.w3c_actions.pointer_action.click()
                pointer.perform()
                now = driver.execute_script(MIDDLES)
                assert now["line"] == pytest.approx(now["handle"], abs=1) == pytest.approx(x, abs=1.5)


def test_the_sample_is_what_the_model_was_measured_on(finished: Any) -> None:
    """Enlarged as validation enlarges it, it is the sample that is in the bundle, to a rounding."""
    bundle = open_bundle(finished.folder)
    offered = sample_picture(bundle, 4)
    assert offered is not None
    with Image.open(io.BytesIO(offered[1])) as small:
        enlarged = np.asarray(small.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    with Image.open(finished.folder / bundle.results().samples[0].degraded) as degraded:
        assert np.abs(enlarged - np.asarray(degraded)).max() <= 1


@pytest.mark.usefixtures("web_runtime")
def test_a_sample_picture_is_offered(finished: Any, chromium: Callable[..., Any]) -> None:
    name = json.loads((finished.folder / "results.json").read_text())["samples"][0]["name"]
    with chromium() as driver, opened(driver, finished.folder, None):
        driver.find_element("id", "sample").click()
        until(driver, lambda: status(driver).startswith("Restored: 64 x 64 px"))
        assert driver.find_element("id", "save").get_attribute("download") == f"{name}_restored.png"


def answer(url: str, host: str | None = None, data: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


REFUSED = b"This page opens only with the whole address that was printed when it was started.\n"


@pytest.mark.usefixtures("web_runtime")
def test_it_serves_this_machine_only_and_nothing_else(finished: Any) -> None:
    with demo(finished.folder, None, 0, Progress("silent")) as pages:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[0-9a-f]{32}/", pages.url) and pages.is_local
        field = urllib.request.urlopen(f"{pages.url}noise.bin?height=32&width=64").read()
        assert field == noise_field(32, 64, 0).tobytes()
        root = pages.url.rsplit("/", 2)[0]
        for url, host in (
            (f"{root}/", None),
            (f"{root}/{'0' * 32}/facts.json", None),
            (f"{root}/%C3%A9/", None),
            (f"{pages.url}facts.json", "evil.example"),
            (f"{pages.url}facts.json", "localhost:80"),
            (f"{pages.url}facts.json", "192.168.1.7:80"),
        ):
            assert answer(url, host) == (403, REFUSED)
        assert answer(f"{root}/", data=b"x" * 1000)[0] == 403
        assert answer(f"{pages.url}../../etc/passwd")[0] == 404
        assert answer(f"{pages.url}noise.bin?height=100000&width=100000")[0] == 400


@pytest.mark.usefixtures("web_runtime")
def test_on_the_network_it_takes_addresses_and_no_names(finished: Any) -> None:
    with demo(finished.folder, None, 0, Progress("silent"), host="0.0.0.0") as pages:
        assert not pages.is_local and "0.0.0.0" not in pages.url
        port, secret = re.fullmatch(r"http://[0-9.]+:(\d+)/([0-9a-f]{32})/", pages.url).groups()
        here = f"http://127.0.0.1:{port}/"
        assert answer(pages.url)[0] == 200, "the printed address is this machine's own on its network"
        assert answer(f"{here}{secret}/", "192.168.1.7:8000")[0] == 200, "a phone's, through a forwarded port"
        assert answer(f"{here}{secret}/", "evil.example:8000") == (403, REFUSED), "a name given this address later"
        assert answer(here) == answer(f"{here}{secret[:-1]}/") == answer(f"{here}{secret}0/") == (403, REFUSED)


@pytest.mark.usefixtures("web_runtime")
def test_no_two_runs_share_an_address(finished: Any) -> None:
    secrets = set()
    for _ in range(2):
        with demo(finished.folder, None, 0, Progress("silent")) as pages:
            secrets.add(pages.url.rsplit("/", 2)[1])
    assert len(secrets) == 2


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"height": "x", "width": "1"},
        {"height": "-8", "width": "8"},
        {"height": "-8", "width": "-8"},
        {"height": "0", "width": "0"},
        {"height": "1", "width": str(LARGEST)},
    ],
)
def test_no_noise_for_nonsense(query: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        noise(query)


@pytest.mark.parametrize("inputs", [{}, {"lq": [1, 3, 64]}, {"lq": [1, 3, 8, 8]}, {"image": [1, 2, 2, 3]}])
def test_an_entry_that_tells_no_size_is_refused(inputs: dict[str, list[int]], tmp_path: Path) -> None:
    """By one of 8 px the page would cut tiles without end."""
    (tmp_path / "model.onnx").write_bytes(b"")
    facts = {"id": "onnx-int8", "format": "onnx", "precision": "int8", "entry": "model.onnx", "task": "sr_x4"}
    ports = [{"name": name, "shape": shape} for name, shape in inputs.items()]
    write_manifest(tmp_path, {"artifacts": [{**facts, "inputs": ports}]}, ["model.onnx"])
    with pytest.raises(VerificationError, match=r"damaged manifest \(artifacts: onnx-int8"):
        demo(tmp_path, None, 0, Progress("silent"))


def test_mistakes_are_one_line(finished: Any, tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_bytes(b"")
    facts = {"artifacts": [{"id": "openvino-int8", "format": "openvino", "precision": "int8", "entry": "model.xml"}]}
    write_manifest(tmp_path, facts, ["model.xml"])
    for args, text in (
        ([str(tmp_path / "none")], f"{tmp_path / 'none'}: not a bundle"),
        ([str(tmp_path)], f"{tmp_path}: holds no ONNX artifact, which a browser runs"),
        ([str(finished.folder), "--artifact", "onnx"], f"{finished.folder}: has no ONNX artifact onnx: give one of"),
        (
            [str(finished.folder), "--host", "mypc.local"],
            "host (=mypc.local) is not an IP address: give this machine's",
        ),
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
