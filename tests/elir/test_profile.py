"""Where cost lies: parameters and multiplications against counts by hand, time and memory as measured here."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from compress.elir.checkpoint import save_checkpoint
from compress.elir.model import Elir
from compress.elir.profile import Profile, profile
from compress.errors import InputError
from compress.progress import Progress
from compress.results.machine import BusyProcess

SILENT = Progress("silent")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from compress.elir.model import ElirConfig

    path = tmp_path_factory.mktemp("profile") / "tiny.safetensors"
    save_checkpoint(Elir(ElirConfig(hid_channels=32, c_hid=8, n_rrdb=1, over_param=True)), path, {})
    return path


@pytest.fixture(scope="module")
def measured(checkpoint: Path) -> Profile:
    return profile(str(checkpoint), [128, 64, 64], SILENT, runs=2)


def encoder_macs(size: int) -> int:
    """Every convolution of the encoder, by hand: 3x3, at full, half, quarter and eighth resolution."""
    block = 3 * 64 * 64
    full = 3 * 64 + block
    halves = [64 * 64 + 3 * block] * 3
    levels = [full, *halves[:2], halves[2] + 64 * 16]
    return sum(9 * products * (size >> i) ** 2 for i, products in enumerate(levels))


def test_multiplications_are_those_counted_by_hand(measured: Profile) -> None:
    assert list(measured.sizes) == [64, 128]
    assert measured.sizes[64]["enc"]["macs"] == encoder_macs(64)
    assert encoder_macs(256) == pytest.approx(15.3e9, rel=0.01)  # the paper's architecture, at 256 px


def test_convolutions_grow_with_the_area(measured: Profile) -> None:
    small, large = measured.sizes[64], measured.sizes[128]
    for name in ("enc", "mmse", "dec"):
        assert large[name]["macs"] == 4 * small[name]["macs"]
    assert 3.8 < large["fmir"]["macs"] / small["fmir"]["macs"] < 4  # the time embedding does not grow


def test_parameters_are_the_collapsed_model_s(measured: Profile, tiny_elir: Elir) -> None:
    assert sum(measured.parameters.values()) == sum(p.numel() for p in tiny_elir.parameters())
    assert measured.parameters["enc"] == sum(p.numel() for p in tiny_elir.enc.parameters())


def test_time_and_memory_are_measured(measured: Profile) -> None:
    for parts in measured.sizes.values():
        assert all(part["ms"] > 0 for part in parts.values())
    # A full-resolution tensor of the decoder is 64 channels of 128 x 128 floats: 4.2 MB, and a block holds two or more.
    assert measured.total(128)["peak_mb"] > 8


def test_json_sums_up(measured: Profile) -> None:
    data = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    assert (data["evidence"], data["k_steps"]) == ("measured", 3)
    for entry in data["sizes"]:
        assert entry["total"]["macs"] == sum(part["macs"] for part in entry["networks"].values())


def test_times_of_a_busy_machine_are_marked(measured: Profile) -> None:
    def shown(*cores: float) -> str:
        busy = [BusyProcess(name="chrome", cores=each) for each in cores]
        console = Console(file=io.StringIO(), width=120)
        console.print(replace(measured, machine=measured.machine.model_copy(update={"busy": busy})).table())
        return console.file.getvalue()  # type: ignore[attr-defined]

    assert "*" not in shown(0.1)
    busy = shown(1.5)
    assert busy.count("* │") >= 2 * 5 + 2
    assert "* measured while other processes took 1.5 cores (chrome): measure again on an idle machine" in busy


@pytest.mark.parametrize("size", [0, 100])
def test_sizes_that_the_networks_cannot_take(checkpoint: Path, size: int) -> None:
    with pytest.raises(InputError, match=rf"size \(={size}\) must be a multiple of 32, at least 32: give another"):
        profile(str(checkpoint), [size], SILENT)


def test_a_size_beyond_the_memory_is_one_line(checkpoint: Path) -> None:
    with pytest.raises(InputError, match=r"size \(=1048576\): does not fit in memory: give smaller ones \(--size\)"):
        profile(str(checkpoint), [1048576], SILENT, runs=1)
