"""What holds in every runtime: it gives what torch gives, says what it takes, and refuses the rest in one line."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from compress.artifacts.runtime.base import PACKAGES, Format, check_shapes, format_of
from compress.artifacts.runtime.open import open_runner
from compress.errors import InputError, Unavailable, VerificationError


def test_it_gives_what_torch_gives(artifact: Path, format: Format, example) -> None:
    runner = open_runner(artifact, format, threads=1)
    assert runner.shapes == {"lq": (1, 3, 32, 32), "noise": (1, 16, 4, 4)}
    hq = runner.run(example.lq, example.noise)
    assert hq.dtype == np.float32
    assert np.abs(hq - example.hq).max() < 1e-5
    assert example.hq.std() > 0.01


def test_a_result_outlives_the_next_run(artifact: Path, format: Format, example) -> None:
    runner = open_runner(artifact, format, threads=1)
    first = runner.run(example.lq, example.noise)
    kept = first.copy()
    runner.run(1 - example.lq, example.noise)
    assert np.array_equal(first, kept)


def test_four_threads_share_a_runner(artifact: Path, format: Format, example) -> None:
    runner = open_runner(artifact, format, threads=1)
    pictures = np.random.default_rng(0).random((200, 1, 3, 32, 32), np.float32)
    right = [runner.run(picture, example.noise) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        result = list(pool.map(lambda picture: runner.run(picture, example.noise), pictures))
    wrong = sum(not np.array_equal(a, b) for a, b in zip(right, result, strict=True))
    assert wrong == 0, f"{wrong} of {len(pictures)} outputs are another picture's"


def test_views_of_a_larger_array_are_taken(artifact: Path, format: Format, example) -> None:
    wide = np.concatenate([example.lq, example.lq], axis=3)[..., :32]
    assert not wide.flags.c_contiguous
    hq = open_runner(artifact, format, threads=1).run(wide, example.noise)
    assert np.abs(hq - example.hq).max() < 1e-5


def test_baked_noise_is_no_input(baked: Path, format: Format, example) -> None:
    runner = open_runner(baked, format, threads=1)
    assert runner.shapes == {"lq": (1, 3, 32, 32)}
    for noise in (None, example.noise, -example.noise):
        assert np.abs(runner.run(example.lq, noise) - example.hq).max() < 1e-5


def test_facts_tell_version_and_threads(artifact: Path, format: Format) -> None:
    facts = open_runner(artifact, format, threads=2).facts
    assert facts[PACKAGES[format]]
    assert 2 in (facts.get("threads"), facts.get("INFERENCE_NUM_THREADS"))


def test_other_shapes_are_refused(artifact: Path, format: Format, example) -> None:
    runner = open_runner(artifact, format, threads=1)
    with pytest.raises(InputError, match=r"artifact takes lq \(1, 3, 32, 32\) and noise \(1, 16, 4, 4\), got lq \(1,"):
        runner.run(example.lq[..., :16], example.noise)
    with pytest.raises(InputError, match=r"got lq \(1, 3, 32, 32\): give inputs of its shapes"):
        runner.run(example.lq, None)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9])
def test_a_truncated_file_is_refused(artifact: Path, format: Format, share: float, tmp_path: Path) -> None:
    path = tmp_path / artifact.name
    shutil.copytree(artifact.parent, tmp_path, dirs_exist_ok=True)
    whole = artifact.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(VerificationError, match=rf"{path.name}: refused, not a .*: export it again") as error:
        open_runner(path, format, threads=1)
    assert "\n" not in str(error.value)


def test_another_models_inputs_are_refused() -> None:
    with pytest.raises(VerificationError, match=r"m\.onnx: not an ELIR artifact, its inputs are x \(1, 10\): lq"):
        check_shapes(Path("m.onnx"), {"x": (1, 10)}, (1, 10))
    with pytest.raises(VerificationError, match="are wanted, static"):
        check_shapes(Path("m.onnx"), {"lq": (1, 3, -1, -1)}, (1, 3, -1, -1))
    with pytest.raises(VerificationError, match=r"noise \(1, 16, 8, 8\)"):
        check_shapes(Path("m.onnx"), {"lq": (1, 3, 32, 32), "noise": (1, 16, 8, 8)}, (1, 3, 32, 32))


@pytest.mark.parametrize(
    ("image", "output"),
    [
        ((1, 16, 16, 3), (1, 3, 64, 64)),  # gives planes
        ((1, 16, 16, 4), (1, 64, 64, 3)),
        ((1, 16, 8, 3), (1, 64, 64, 3)),  # one side enlarged more than the other
        ((1, 15, 15, 3), (1, 64, 64, 3)),
        ((1, 0, 16, 3), (1, 64, 64, 3)),
        ((1, 1, 1, 3), (1, 4096, 4096, 3)),  # a picture of 20 x 30 px would take 30 GB
        ((16, 16, 3), (1, 64, 64, 3)),
        ((1, 16, 16, 3), ()),
        ((1, 64, 64, 3), (1, 192, 192, 3)),  # tiles lie on a grid of 32 px, which 3 does not divide
    ],
)
def test_pictures_of_no_artifact_of_ours(image: tuple[int, ...], output: tuple[int, ...]) -> None:
    with pytest.raises(VerificationError, match=r"its inputs are image .* or image \(1, h, w, 3\), and noise"):
        check_shapes(Path("m.onnx"), {"image": image}, output)
    shapes: dict[str, tuple[int, ...]] = {"image": (1, 16, 16, 3), "noise": (1, 16, 8, 8)}
    assert check_shapes(Path("m.onnx"), shapes, (1, 64, 64, 3)) == (shapes, (1, 64, 64, 3))


def test_a_missing_file(format: Format) -> None:
    with pytest.raises(InputError, match=r"nowhere/model: no such artifact: check the path"):
        open_runner(Path("nowhere/model"), format, threads=1)


def test_a_missing_runtime(artifact: Path, format: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    package = PACKAGES[format]
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Unavailable, match=rf"{package} cannot be imported .*: install it, pip install {package}"):
        open_runner(artifact, format, threads=1)


def test_threads_must_be_given(artifact: Path, format: Format) -> None:
    with pytest.raises(InputError, match=r"threads \(=0\) must be 1 or more"):
        open_runner(artifact, format, threads=0)


def test_format_is_told_by_the_suffix() -> None:
    assert [format_of(Path(name)) for name in ("a.xml", "a.onnx", "a.pte")] == ["openvino", "onnx", "executorch"]
    with pytest.raises(InputError, match=r"a\.tflite: not an artifact: give a \.xml"):
        format_of(Path("a.tflite"))
