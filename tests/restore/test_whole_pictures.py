"""Throughput is of what `compress restore` does, in processes of their own; what cannot be measured so is refused."""

import hashlib
import io
import json
import subprocess
from typing import Any

import pytest
from rich.console import Console

from compress.errors import InputError, VerificationError
from compress.ledger import open_ledger
from compress.pipeline.bench_targets import Benches
from compress.progress import Progress
from compress.python_process import python_command, python_environment
from compress.recipe.deploy_target import DeployTarget
from compress.restore import whole_pictures
from compress.restore.open import Settings, open_restorer
from compress.restore.whole_pictures import Job, Throughput, Work, bench_whole, throughput, throughput_of
from compress.restore.whole_pictures_worker import picture

JOB = Job("clip", 20, 31, 2)


@pytest.fixture(scope="module")
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def benches(finished: Any, said: io.StringIO) -> Benches:
    what = Throughput(megapixels=0.02, frames=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_pictures, "CLIP", (24, 32))
        return bench_whole(finished.folder, ["x86-openvino"], what, Progress("lines", said))


def test_every_artifact_has_figures_of_what_was_asked_for(benches: Benches) -> None:
    entries = benches.to_json()["performance"]
    assert [entry["artifact"] for entry in entries] == ["openvino-fp32", "openvino-int8"]  # type: ignore[index,attr-defined]
    for entry in entries:  # type: ignore[attr-defined]
        assert entry["latency_ms"]["p50"] > 0 and entry["evidence"] == "measured", "as without --throughput"
        whole, clip = entry["whole_pictures"]
        assert (whole["kind"], whole["width"], whole["height"], whole["frames"]) == ("picture", 164, 124, 1)
        assert (clip["kind"], clip["width"], clip["height"], clip["frames"]) == ("clip", 128, 96, 2)
        for item, frames in ((whole, 1), (clip, 2)):
            megapixels = frames * item["width"] * item["height"] / 1e6
            assert item["megapixels_per_s"] == pytest.approx(megapixels / item["seconds"], rel=0.02)
            assert 20 < item["peak_rss_mb"] < 4000
            assert item["n"] == 2
            assert item["joules_per_megapixel"] is None or item["joules_per_megapixel"] > 0


def test_tiles_are_those_that_restore_cuts(benches: Benches, finished: Any) -> None:
    restorer = open_restorer(str(finished.folder / "fp32/openvino/model.xml"), Settings())
    whole, clip = benches.performance[0].whole_pictures or ()
    assert (whole.tiles, clip.tiles) == (restorer.tiles(31, 41), 2 * restorer.tiles(24, 32))


def test_it_says_beforehand_how_long_it_takes(benches: Benches, said: io.StringIO) -> None:
    lines = said.getvalue().splitlines()
    line = next(line for line in lines if line.startswith("throughput: "))
    jobs = "a picture of 41 x 31 px and a clip of 2 frames of 32 x 24 px"
    assert line.startswith(f"throughput: {jobs}, 2 times by each of 2 artifacts: about ")
    assert lines.index(line) < next(i for i, text in enumerate(lines) if text.startswith("throughput, picture"))


def test_the_table_and_the_ledger_have_them(benches: Benches) -> None:
    console = Console(width=110, markup=False)
    with console.capture() as captured:
        console.print(benches.table())
    text = " ".join(captured.get().split())
    assert "openvino-int8 x86-openvino picture 164 x 124" in text and "clip, 2 frames 128 x 96" in text
    row = next(row for row in open_ledger().rows() if row.artifact == "openvino-int8")
    whole, clip = benches.performance[1].whole_pictures or ()
    assert row.picture_megapixels == pytest.approx(164 * 124 / 1e6)
    assert (row.picture_megapixels_per_s, row.clip_peak_rss_mb) == (whole.megapixels_per_s, clip.peak_rss_mb)
    assert row.latency_p50_ms is not None


def test_the_picture_made_is_the_one_that_restore_makes(finished: Any) -> None:
    entry = str(finished.folder / "int8/openvino/model.xml")
    command = python_command("-m", "compress.restore.whole_pictures_worker", entry, "20", "31", "2")
    ran = subprocess.run(
        command, input="\n\n", capture_output=True, text=True, env=python_environment(), check=True
    ).stdout
    ready, *answers = map(json.loads, ran.splitlines())
    assert ready == {} and len(answers) == 2
    restorer = open_restorer(entry, Settings())
    made = b"".join(restorer.restore(picture(20, 31, seed), lambda: None).tobytes() for seed in range(2))
    assert {answer["sha256"] for answer in answers} == {hashlib.sha256(made).hexdigest()}
    assert all(answer["seconds"] > 0 for answer in answers)


def test_an_artifact_that_cannot_be_opened_is_named() -> None:
    with pytest.raises(InputError, match=r"^gone: nowhere/model.xml: no such artifact: check the path$"):
        throughput([Work("gone", "nowhere/model.xml", 4, (64, 64))], JOB, 2, Progress("silent"))


def test_pictures_that_differ_from_run_to_run_are_refused() -> None:
    runs = [{"sha256": name, "seconds": 1.0, "peak_rss_mb": 50.0, "joules": None} for name in "ab"]
    work = Work("openvino-int8", "model.xml", 4, (64, 64))
    with pytest.raises(VerificationError, match="openvino-int8: gives another picture each time: do not use it"):
        whole_pictures._figures(work, JOB, runs)


def test_joules_are_those_of_the_runs_that_have_them() -> None:
    runs = [{"sha256": "a", "seconds": s, "peak_rss_mb": 50.0, "joules": j} for s, j in ((1.0, 3.0), (3.0, None))]
    found = whole_pictures._figures(Work("a", "model.xml", 4, (64, 64)), Job("picture", 250, 250, 1), runs)
    assert (found.seconds, found.megapixels_per_s, found.joules_per_megapixel) == (2.0, 0.5, 3.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"megapixels": 0.0}, r"megapixels \(=0\) must be in \[0.01, 178\]"),
        ({"megapixels": float("nan")}, r"megapixels \(=nan\) must be in"),
        ({"megapixels": 1e9}, r"megapixels \(=1e\+09\) must be in"),
        ({"frames": -1}, r"frames \(=-1\) must be in \[0, 1000\]"),
    ],
)
def test_sizes_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Throughput(**given)


def test_a_size_without_throughput_is_refused() -> None:
    with pytest.raises(InputError, match=r"^megapixels: is of whole pictures: ask for them, too \(--through"):
        throughput_of(2.0, None, asked=False)
    assert throughput_of(None, None, asked=False) is None
    assert throughput_of(2.0, 0, asked=True) == Throughput(2.0, 0)


def test_no_frames_are_no_clip() -> None:
    assert [str(job) for job in Throughput(12, 0).jobs(4)] == ["a picture of 1000 x 750 px"]
    assert [str(job) for job in Throughput(2, 3).jobs(1)][1] == "a clip of 3 frames of 640 x 360 px"


@pytest.mark.parametrize(
    ("name", "host", "why"),
    [
        ("rpi5", None, "runs by ssh"),
        ("x86-openvino", "me@board", "runs on me@board"),
    ],
)
def test_targets_that_restore_does_not_run_on_are_refused(name: str, host: str | None, why: str, finished: Any) -> None:
    with pytest.raises(InputError, match=f"{why}, and pictures are restored on this machine's CPU: ask for no"):
        bench_whole(finished.folder, [name], Throughput(), Progress("silent"), host)


@pytest.mark.parametrize("own", [{"threads": 1}, {"options": {"session.x": 1}}, {"provider": "openvino"}])
def test_a_target_with_settings_of_its_own_is_refused(own: dict[str, Any]) -> None:
    target = DeployTarget(version=1, name="mine", runtime="onnxruntime", format="onnx", **own)
    with pytest.raises(InputError, match=rf"target mine sets {next(iter(own))}, which `compress restore` does not tak"):
        whole_pictures._check(target, None)
